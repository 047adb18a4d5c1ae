"""SIGTERM, to real processes under load: nothing is lost, nothing is left open, nobody is answered with an error."""

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

from config.management.commands.run import patience
from config.processes.run_modes import api, beat, manage, worker
from invoices.lifecycle import State
from invoices.models import Invoice, InvoiceIssuance
from invoices.opening.conclude import lock_order
from tests import cast
from tests.chaos.cluster import Cluster, all_issued, running_cluster, until

SENDERS = 2
PACE = 0.3  # seconds between a sender's payments


@pytest.fixture(scope="module")
def home(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("graceful"), django_db_blocker, SWEEP_SECONDS="1") as home:
        start_api(home, 0)
        yield home


def start_api(home: Cluster, which: int) -> None:
    port = home.ports[which]
    home.processes.start(f"api-{which}", *api(port))
    home.processes.wait_for(f"api-{which}", f"{home.url(port)}/admin/login/")


def test_a_worker_that_is_told_to_stop_records_what_is_on_the_wire_and_takes_no_more(home: Cluster) -> None:
    orders = 12  # and four at once go to a lane
    assert {home.pay().status for _ in range(orders)} == {202}
    home.provider.settings(latency=1500)
    home.processes.start("worker", *worker("first", *settings.QUEUES))
    until(lambda: home.provider.stats().get("create", 0))
    assert home.processes.stop("worker") == 0
    states = list(Invoice.objects.values_list("state", flat=True))
    assert State.SENDING not in states
    assert 1 <= states.count(State.ISSUED) == len(home.provider.ledger())
    assert states.count(State.QUEUED) == orders - states.count(State.ISSUED) >= 1
    assert not InvoiceIssuance.objects.filter(outcome=InvoiceIssuance.Outcome.OPEN).exists()


def test_what_it_left_is_issued_by_the_next_one_at_the_first_attempt_though_redis_forgot_it(home: Cluster) -> None:
    home.provider.settings(latency=0)
    redis.Redis.from_url(home.redis_url).flushall()  # so that it takes beat, the sweep and the pump
    home.processes.start("worker", *worker("second", *settings.QUEUES))
    home.processes.start("beat", *beat())
    until(all_issued)
    assert InvoiceIssuance.objects.count() == Invoice.objects.count() == len(home.provider.ledger())


def test_a_rolling_deployment_under_load_loses_nothing_and_no_client_sees_an_error(home: Cluster) -> None:
    crew = home.processes
    for name, command in (("worker", worker("second", *settings.QUEUES)), ("beat", beat())):
        if name not in crew.running:  # this test came alone
            crew.start(name, *command)
    start_api(home, 1)
    with Flow(home) as flow:
        crew.start("migrate", *manage("run", "migrate"))
        assert crew.running.pop("migrate").wait(120) == 0
        for name, mode in (("worker", ["worker", *settings.QUEUES]), ("beat", ["beat"])):
            crew.start(f"next-{name}", *manage("run", *mode))  # both at once, for a while
            assert crew.stop(name) == 0
        for which in (0, 1):
            assert crew.stop(f"api-{which}") == 0
            flow.goes_on()
            start_api(home, which)
        flow.goes_on()
    assert flow.wrong == []
    until(all_issued)
    assert Invoice.objects.filter(order_id__in=flow.accepted).count() == len(flow.accepted)
    assert not InvoiceIssuance.objects.exclude(outcome=InvoiceIssuance.Outcome.ISSUED).exists()
    assert InvoiceIssuance.objects.count() == Invoice.objects.count() == len(home.provider.ledger())


def test_a_migration_that_meets_a_slow_report_gives_up_before_payments_do(home: Cluster) -> None:
    """Who waits for a whole table holds up all who come after: they get through within the migration's patience."""
    connect = partial(psycopg.connect, **connection.get_connection_params())
    with Flow(home) as flow, connect() as report, connect(autocommit=True) as migration:
        report.execute("SELECT FROM invoices_invoice LIMIT 1")  # and its transaction stays open
        migration.execute(patience())
        with pytest.raises(LockNotAvailable):
            migration.execute("ALTER TABLE invoices_invoice ADD COLUMN later integer")
        flow.goes_on()
        report.rollback()
        migration.execute("ALTER TABLE invoices_invoice ADD COLUMN later integer")
        flow.goes_on()
        migration.execute("ALTER TABLE invoices_invoice DROP COLUMN later")
    assert flow.wrong == []


def test_an_api_that_is_told_to_stop_answers_what_it_has_begun(home: Cluster) -> None:
    data = cast.payment(home.seller)
    with ThreadPoolExecutor(1) as sender:
        with transaction.atomic():
            lock_order(data["merchantId"], data["orderId"])  # its payment has to wait for us
            answer = sender.submit(home.pay, data)
            until(somebody_waits_for_a_lock)
            process = home.processes.running["api-0"]
            process.terminate()
            until(lambda: is_closed(home))
            assert process.poll() is None
        assert (answer.result().status, answer.result().json()["outcome"]) == (202, "opened")
    assert home.processes.stop("api-0") == 0


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return cursor.fetchone() is not None


def is_closed(home: Cluster) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", home.ports[0])) == errno.ECONNREFUSED


class Flow:
    """Payments that keep coming, to whichever of two ports is open. `wrong`: anything else than an accepted payment."""

    def __init__(self, home: Cluster) -> None:
        self.home, self.enough = home, threading.Event()
        self.accepted: list[str] = []
        self.wrong: list[str] = []
        self.senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> "Flow":
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        for sender in self.senders:
            sender.join()

    def _send(self) -> None:
        while not self.enough.wait(PACE):
            data = cast.payment(self.home.seller)
            try:
                answer = self._pay(data)
            except Exception as error:
                self.wrong.append(repr(error))
                continue
            (self.accepted if answer.status == 202 else self.wrong).append(data["orderId"])

    def _pay(self, data: dict[str, Any]) -> Any:
        for port in self.home.ports:
            try:
                return self.home.pay(data, port=port)
            except OSError as error:
                if not isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                    raise
        raise ConnectionRefusedError("both ports are closed")

    def goes_on(self) -> None:
        """Until more payments were accepted than were on their way when we asked."""
        before = len(self.accepted)
        until(lambda: len(self.accepted) > before + SENDERS)
