"""SIGTERM to real processes under load: nothing is lost, nothing is left open, and no client gets an error."""

import errno
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from psycopg.errors import LockNotAvailable

from config.management.commands.run import session_timeouts
from config.processes.run_modes import api, beat, manage, worker
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.opening.conclude import lock_order
from tests import cast
from tests.chaos.cluster import Cluster, all_issued, running_cluster, wait_until

SENDERS = 2
PACE = 0.3  # seconds between a sender's payments


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("shutdown"), django_db_blocker, SWEEP_SECONDS="1") as cluster:
        start_api(cluster, 0)
        yield cluster


def start_api(cluster: Cluster, which: int) -> None:
    port = cluster.ports[which]
    cluster.processes.start(f"api-{which}", *api(port))
    cluster.processes.wait_for(f"api-{which}", f"{cluster.url(port)}/admin/login/")


def test_a_terminated_worker_records_its_open_calls_and_takes_no_more(cluster: Cluster) -> None:
    orders = 12  # of which four are sent at once
    assert {cluster.pay().status for _ in range(orders)} == {202}
    cluster.provider.settings(latency=1500)
    cluster.processes.start("worker", *worker("first", *settings.QUEUES))
    wait_until(lambda: cluster.provider.stats().get("create", 0))
    assert cluster.processes.stop("worker") == 0
    states = list(Invoice.objects.values_list("state", flat=True))
    assert State.SENDING not in states
    assert 1 <= states.count(State.ISSUED) == len(cluster.provider.ledger())
    assert states.count(State.QUEUED) == orders - states.count(State.ISSUED) >= 1
    assert not InvoiceIssuance.objects.filter(outcome=InvoiceIssuance.Outcome.OPEN).exists()


def test_the_next_worker_issues_the_rest_at_the_first_attempt_although_redis_was_flushed(cluster: Cluster) -> None:
    cluster.provider.settings(latency=0)
    redis.Redis.from_url(cluster.redis_url).flushall()  # so that only beat, the sweep and the pump can do it
    cluster.processes.start("worker", *worker("second", *settings.QUEUES))
    cluster.processes.start("beat", *beat())
    wait_until(all_issued)
    assert InvoiceIssuance.objects.count() == Invoice.objects.count() == len(cluster.provider.ledger())


def test_a_rolling_deployment_under_load_loses_nothing_and_no_client_sees_an_error(cluster: Cluster) -> None:
    processes = cluster.processes
    for name, command in (("worker", worker("second", *settings.QUEUES)), ("beat", beat())):
        if name not in processes.running:  # this test runs alone
            processes.start(name, *command)
    start_api(cluster, 1)
    with PaymentFlow(cluster) as flow:
        processes.start("migrate", *manage("run", "migrate"))
        assert processes.running.pop("migrate").wait(120) == 0
        for name, mode in (("worker", ["worker", *settings.QUEUES]), ("beat", ["beat"])):
            processes.start(f"next-{name}", *manage("run", *mode))  # for a while both run
            assert processes.stop(name) == 0
        for which in (0, 1):
            assert processes.stop(f"api-{which}") == 0
            flow.wait_for_more()
            start_api(cluster, which)
        flow.wait_for_more()
    assert flow.failed == []
    wait_until(all_issued)
    assert Invoice.objects.filter(order_id__in=flow.accepted).count() == len(flow.accepted)
    assert not InvoiceIssuance.objects.exclude(outcome=InvoiceIssuance.Outcome.ISSUED).exists()
    assert InvoiceIssuance.objects.count() == Invoice.objects.count() == len(cluster.provider.ledger())


def test_a_migration_blocked_by_a_slow_report_times_out_before_payments_do(cluster: Cluster) -> None:
    """A statement that waits for a table lock blocks all later ones, so migrations have a short lock time-out."""
    connect = partial(psycopg.connect, **connection.get_connection_params())
    with PaymentFlow(cluster) as flow, connect() as report, connect(autocommit=True) as migration:
        report.execute("SELECT FROM invoices_invoice LIMIT 1")  # its transaction stays open
        migration.execute(session_timeouts())
        with pytest.raises(LockNotAvailable):
            migration.execute("ALTER TABLE invoices_invoice ADD COLUMN later integer")
        flow.wait_for_more()
        report.rollback()
        migration.execute("ALTER TABLE invoices_invoice ADD COLUMN later integer")
        flow.wait_for_more()
        migration.execute("ALTER TABLE invoices_invoice DROP COLUMN later")
    assert flow.failed == []


def test_a_terminated_api_answers_the_requests_that_it_has_begun(cluster: Cluster) -> None:
    data = cast.payment(cluster.seller)
    with ThreadPoolExecutor(1) as sender:
        with transaction.atomic():
            lock_order(data["merchantId"], data["orderId"])  # the payment waits for this lock
            response = sender.submit(cluster.pay, data)
            wait_until(a_payment_waits_for_its_lock)
            process = cluster.processes.running["api-0"]
            process.terminate()
            wait_until(lambda: is_closed(cluster))
            assert process.poll() is None
        assert (response.result().status, response.result().json()["outcome"]) == (202, "opened")
    assert cluster.processes.stop("api-0") == 0


def a_payment_waits_for_its_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return cursor.fetchone() is not None


def is_closed(cluster: Cluster) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", cluster.ports[0])) == errno.ECONNREFUSED


class PaymentFlow:
    """A continuous flow of payments, to the first of two ports that is open. `failed`: all that was not accepted."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.finished = cluster, threading.Event()
        self.accepted: list[str] = []
        self.failed: list[str] = []
        self.senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> "PaymentFlow":
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished.set()
        for sender in self.senders:
            sender.join()

    def _send(self) -> None:
        while not self.finished.wait(PACE):
            data = cast.payment(self.cluster.seller)
            try:
                response = self._pay(data)
            except Exception as error:
                self.failed.append(repr(error))
                continue
            (self.accepted if response.status == 202 else self.failed).append(data["orderId"])

    def _pay(self, data: dict[str, Any]) -> Any:
        for port in self.cluster.ports:
            try:
                return self.cluster.pay(data, port=port)
            except OSError as error:
                if not isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                    raise
        raise ConnectionRefusedError("both ports are closed")

    def wait_for_more(self) -> None:
        """Wait until more payments were accepted than were being sent at the call."""
        before = len(self.accepted)
        wait_until(lambda: len(self.accepted) > before + SENDERS)
