"""The schedule of periodic tasks. PostgreSQL is the queue: each entry only tells a worker to look for due rows."""

from typing import Any

from celery.schedules import crontab

HOUSEKEEPING, BACKGROUND, DELIVERIES = "hoadon", "invoice-background", "webhook-deliveries"


def queues(partitions: int) -> list[str]:
    """Every queue that a worker may serve."""
    own = [f"{kind}-{p}" for kind in ("invoice-issuance", "claim-expiry") for p in range(partitions)]
    return [HOUSEKEEPING, BACKGROUND, DELIVERIES, *own]


def beat_schedule(
    partitions: int, *, sweep: float, expire: float, probe: float, files: float, deliver: float, bulk: float
) -> dict[str, dict[str, Any]]:
    """Periods are in seconds. The crontab's hours are UTC: Việt Nam is seven hours ahead."""
    return {
        "sweep": every(sweep, "invoices.sweep", HOUSEKEEPING),
        "retry-failed-events": every(sweep, "webhooks.retry_failed_events", HOUSEKEEPING),
        "fold-counters": every(300, "config.fold_counters", HOUSEKEEPING),
        "prune-counters": every(3600, "config.prune_counters", HOUSEKEEPING),
        "deliver": every(deliver, "webhooks.deliver_due", DELIVERIES),
        "fetch-files": every(files, "invoices.fetch_files", BACKGROUND),
        "probe-parked": every(probe, "invoices.probe_parked", BACKGROUND),
        "final-lookups": every(60, "invoices.run_final_lookups", BACKGROUND),
        "bulk-runs": every(bulk, "invoices.advance_bulk_runs", BACKGROUND),
        "find-tax-drift": every(3600, "merchants.find_drift", BACKGROUND),
        "count-numbers-left": every(3600, "invoices.count_numbers_left", BACKGROUND),
        "reconcile": at(crontab(hour=18, minute=30), "invoices.reconcile_yesterday", expires=3600),  # 01:30
        # Each minute from midnight to 05:00, until the round is over.
        "verify-audit": at(crontab(hour="17-21"), "invoices.verify_nightly", expires=60),
        **{
            f"close-claim-windows-{p}": every(expire, "invoices.close_claim_windows", f"claim-expiry-{p}", p)
            for p in range(partitions)
        },
    }


def every(seconds: float, task: str, queue: str, *args: int) -> dict[str, Any]:
    """An entry expires after its period, when the next one replaces it."""
    return {"task": task, "schedule": seconds, "args": args, "options": {"queue": queue, "expires": seconds}}


def at(schedule: crontab, task: str, *, expires: int) -> dict[str, Any]:
    return {"task": task, "schedule": schedule, "options": {"queue": BACKGROUND, "expires": expires}}
