"""The Celery tasks of invoices. Each calls the function that does the work."""

from celery import Task, shared_task
from celery.signals import worker_shutting_down

from config.processes.shutdown import shutdown
from invoices.issuing import files, final_lookups, parked_accounts, pump
from invoices.opening import claim_window
from invoices.operations import bulk_worker
from invoices.upkeep import numbers_left
from invoices.upkeep import reconcile as reconciling
from invoices.upkeep import sweep as sweeping
from invoices.upkeep import verify_audit as verifying


@shared_task(bind=True, name="invoices.issue_due")
def issue_due(self: Task, partition: int) -> None:
    pump.issue_due(partition, alone=len(self.app.amqp.queues.consume_from) == 1)


@shared_task(name="invoices.sweep")
def sweep() -> None:
    sweeping.sweep()


@shared_task(name="invoices.close_claim_windows")
def close_claim_windows(partition: int) -> None:
    claim_window.close_claim_windows(partition)


@shared_task(name="invoices.run_final_lookups")
def run_final_lookups() -> None:
    final_lookups.run_final_lookups()


@shared_task(name="invoices.probe_parked")
def probe_parked() -> None:
    parked_accounts.probe_parked()


@shared_task(name="invoices.reconcile_yesterday")
def reconcile_yesterday() -> None:
    reconciling.reconcile_yesterday()


@shared_task(name="invoices.verify_nightly")
def verify_nightly() -> None:
    verifying.verify_nightly()


@shared_task(name="invoices.fetch_files")
def fetch_files() -> None:
    files.fetch_files()


@shared_task(name="invoices.count_numbers_left")
def count_numbers_left() -> None:
    numbers_left.count_numbers_left()


@shared_task(name="invoices.advance_bulk_runs")
def advance_bulk_runs() -> None:
    bulk_worker.advance_runs()


@worker_shutting_down.connect
def stop_taking(**_: object) -> None:
    shutdown.set()
