"""Deliveries: signed, in order, once, retried after failures, and never delayed by another endpoint."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as defaults
from django.db import connections

from config.base import clock
from config.processes.shutdown import shutdown
from invoices.audit import Event
from invoices.lifecycle import State
from tests import cast
from tests.webhooks.receivers import OK, Receiver, receiving
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.outbound import deliveries, results, sending
from webhooks.outbound.deliveries import deliver_due
from webhooks.outbound.events import write_test_delivery
from webhooks.outbound.sending import _retry_after

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DOWN = (503, {})
S = WebhookDelivery.State


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def one_event(receiver: Receiver, **overrides: Any) -> WebhookDelivery:
    return write_test_delivery(receiver.endpoint(**overrides))


def deliver_at(when: Any) -> int:
    with clock.frozen(when):
        return deliver_due()


def three_events(merchant: Any) -> Any:
    """Three events of one invoice: it fails, is replayed and fails again, and is cancelled."""
    invoice = cast.failed(merchant)
    cast.move_to(invoice, State.QUEUED, Event.REPLAYED, actor="test", not_before=clock.now())
    cast.move_to(invoice, State.FAILED, Event.REFUSED, actor="test", failure="refused")
    return cast.move_to(invoice, State.CANCELLED, Event.CANCELLED, actor="test")


# --- Delivery ---------------------------------------------------------------------------------------------------------


def test_an_event_is_verified_by_the_unmodified_library_and_delivered_once(receiver: Receiver) -> None:
    merchant = cast.seller()
    receiver.endpoint(merchant)
    invoice = cast.issued(merchant)
    assert (deliver_due(), deliver_due()) == (1, 0)
    assert (receiver.tries, receiver.rejected, receiver.values()) == (1, 0, ["invoice.issued"])
    assert receiver.received[0]["data"]["invoiceId"] == str(invoice.pk)
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts, row.last_status, row.last_error, row.taken_at) == (S.DELIVERED, 1, 200, "", None)
    assert row.delivered_at and receiver.ids == [row.event_id]


def test_the_events_of_one_invoice_arrive_in_order(receiver: Receiver) -> None:
    merchant = cast.seller()
    receiver.endpoint(merchant)
    for _ in range(5):
        three_events(merchant)
    assert deliver_due() == 15
    by_invoice: dict[str, list[str]] = {}
    for event in receiver.received:
        by_invoice.setdefault(event["data"]["invoiceId"], []).append(event["type"])
    assert list(by_invoice.values()) == [["invoice.failed", "invoice.failed", "invoice.cancelled"]] * 5


def test_a_receiver_that_was_down_for_an_hour_gets_everything_once_and_in_order(receiver: Receiver) -> None:
    merchant = cast.seller()
    receiver.endpoint(merchant)
    receiver.answer = lambda _: DOWN
    start = clock.now()
    for minute in range(60):
        with clock.frozen(start + timedelta(minutes=minute)):
            if minute % 10 == 0:
                three_events(merchant)
            deliver_due()
    assert receiver.received == [] and receiver.tries > 6
    receiver.answer = lambda _: OK
    for minute in range(60, 60 * 7, 5):
        deliver_at(start + timedelta(minutes=minute))
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {S.DELIVERED}
    assert len(receiver.ids) == len(set(receiver.ids)) == 18
    for invoice in {event["data"]["invoiceId"] for event in receiver.received}:
        seqs = [id_ for id_ in receiver.ids if id_.startswith(f"{invoice}-")]
        assert seqs == sorted(seqs, key=lambda id_: int(id_.split("-")[1]))
    assert WebhookEndpoint.objects.get().failing_since is None


def test_a_secret_is_changed_under_live_traffic_without_one_reject(receiver: Receiver) -> None:
    row = receiver.endpoint()

    def traffic() -> None:
        for _ in range(5):
            write_test_delivery(row)
        assert deliver_due() == 5

    traffic()  # before
    new_secret = row.rotate_secret("2", HOUR)
    traffic()  # the receiver knows the old one only
    receiver.secrets = [new_secret]
    traffic()  # and now the new one only
    with clock.frozen(clock.now() + HOUR):
        traffic()  # the grace is over
    assert (receiver.rejected, len(receiver.received)) == (0, 20)
    assert receiver.signatures == [1] * 5 + [2] * 10 + [1] * 5


def test_a_secret_may_change_while_deliveries_are_in_flight(receiver: Receiver) -> None:
    row = receiver.endpoint()
    rotated = threading.Event()
    receiver.answer = lambda _: (rotated.wait(10), OK)[1]
    for _ in range(3):
        write_test_delivery(row)
    calls = deliveries.take_deliveries(10)
    new_secret = row.rotate_secret("2", HOUR)
    done: Any = deliveries.queue.Queue()
    for call in calls:
        sending.start_sending(call, done)
    rotated.set()
    results.record_results([done.get(timeout=10) for _ in calls])
    write_test_delivery(row)
    receiver.secrets.append(new_secret)
    deliver_due()
    assert (receiver.rejected, len(receiver.received)) == (0, 4)


# --- Isolation --------------------------------------------------------------------------------------------------------


def test_a_slow_endpoint_does_not_delay_another(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_IN_FLIGHT = 2
    released, many = threading.Event(), 12
    with receiving() as slow:
        slow.answer = lambda _: OK if released.wait(10) else DOWN
        hung, quick = slow.endpoint(), receiver.endpoint()
        for _ in range(many):
            write_test_delivery(hung)
            write_test_delivery(quick)

        def count(_: Any) -> Any:
            if receiver.tries == many:  # the quick one got everything while the slow one has answered nothing
                assert slow.received == []
                released.set()
            return OK

        receiver.answer = count
        assert deliver_due() == 2 * many
        assert (len(receiver.received), len(slow.received)) == (many, many)


def test_an_endpoint_has_a_limit_of_open_calls_and_a_failing_one_has_one(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_IN_FLIGHT = 3
    row = receiver.endpoint()
    for _ in range(8):
        write_test_delivery(row)
    assert (len(deliveries.take_deliveries(100)), len(deliveries.take_deliveries(100))) == (3, 0)
    WebhookEndpoint.objects.update(failing_since=clock.now())
    with clock.frozen(clock.now() + HOUR):  # the leases are over
        assert (len(deliveries.take_deliveries(100)), len(deliveries.take_deliveries(100))) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_deliver_each_once(receiver: Receiver) -> None:
    merchant = cast.seller()
    row = receiver.endpoint(merchant)
    for _ in range(10):
        three_events(merchant)
        write_test_delivery(row)
    barrier, done = threading.Barrier(2), []

    def work() -> None:
        try:
            barrier.wait(10)
            done.append(deliver_due())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    deliver_due()
    assert len(receiver.ids) == len(set(receiver.ids)) == 40
    assert WebhookDelivery.objects.exclude(attempts=1).count() == 0


def test_a_worker_that_died_leaves_a_row_that_is_due_again(receiver: Receiver) -> None:
    one_event(receiver)
    assert len(deliveries.take_deliveries(10)) == 1
    assert deliver_due() == 0
    assert deliver_at(clock.now() + timedelta(minutes=2)) == 1
    assert len(receiver.received) == 1


def test_after_sigterm_a_worker_takes_no_more_and_records_its_open_calls(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_IN_FLIGHT = 2
    row = receiver.endpoint()
    for _ in range(6):
        write_test_delivery(row)
    receiver.answer = lambda _: (shutdown.set(), OK)[1]  # SIGTERM sets it
    try:
        assert deliver_due() == 2
    finally:
        shutdown.clear()
    assert WebhookDelivery.objects.filter(state=S.DELIVERED).count() == 2
    assert WebhookDelivery.objects.filter(state=S.PENDING, taken_at=None, attempts=0).count() == 4


def test_a_late_result_cannot_overwrite_another_attempt(receiver: Receiver) -> None:
    row = one_event(receiver)
    call = deliveries.take_deliveries(10)[0]
    deliveries.replay_one(row, actor="test")
    results.record_results([sending.Result(call, 500, "HTTP 500")])
    row.refresh_from_db()
    assert (row.state, row.attempts, row.last_error) == (S.PENDING, 0, "")


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_retries_follow_the_schedule_and_end_in_a_dead_delivery(receiver: Receiver) -> None:
    receiver.answer = lambda _: (500, {})
    row, now = one_event(receiver), clock.now()
    for attempt, step in enumerate(defaults.WEBHOOK_STEPS, start=1):
        assert deliver_at(now) == 1
        row.refresh_from_db()
        assert (row.state, row.attempts, row.last_status, row.last_error) == (S.PENDING, attempt, 500, "HTTP 500")
        wait = (row.not_before - now).total_seconds()
        assert step <= wait <= 1.1 * step
        assert deliver_at(row.not_before - timedelta(seconds=1)) == 0
        now = row.not_before + timedelta(minutes=1)
    assert deliver_at(now) == 1
    row.refresh_from_db()
    assert (row.state, row.attempts) == (S.DEAD, 10)
    assert deliver_at(now + 30 * DAY) == 0


def test_retry_after_holds_the_whole_endpoint_for_its_time(receiver: Receiver) -> None:
    receiver.answer = lambda _: (429, {"Retry-After": "600"})
    row, now = one_event(receiver), clock.now()
    assert deliver_at(now) == 1
    write_test_delivery(row.endpoint)
    receiver.answer = lambda _: OK
    assert deliver_at(now + timedelta(seconds=599)) == 0
    assert deliver_at(now + timedelta(seconds=601)) == 2


@pytest.mark.parametrize("header", ["99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_retry_after_lasts_longer_than_a_day(receiver: Receiver, header: str) -> None:
    receiver.answer = lambda _: (503, {"Retry-After": header})
    row = one_event(receiver)
    deliver_due()
    row.refresh_from_db()
    assert row.not_before - clock.now() <= DAY


@pytest.mark.parametrize("header", ["soon", "-5", "", "Mon, 01 Jan 2001 00:00:00 GMT", "٣"])
def test_an_invalid_retry_after_is_ignored(header: str) -> None:
    assert not _retry_after(header)


def test_410_disables_the_endpoint_at_once_and_keeps_what_is_pending(receiver: Receiver) -> None:
    receiver.answer = lambda _: (410, {})
    row = one_event(receiver)
    deliver_due()
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.disabled_reason == "It answered 410 Gone."
    assert endpoint.history.first().history_change_reason == "worker"
    receiver.answer = lambda _: OK
    write_test_delivery(endpoint)
    assert deliver_at(clock.now() + DAY) == 0
    WebhookEndpoint.objects.update(disabled_reason="")
    assert deliver_at(clock.now() + DAY) == 2
    row.refresh_from_db()
    assert row.state == S.DELIVERED


def test_five_days_without_a_success_disable_the_endpoint_and_log_it(receiver: Receiver, caplog: Any) -> None:
    receiver.answer = lambda _: (500, {})
    endpoint, start = receiver.endpoint(), clock.now()
    for day in range(5):
        with clock.frozen(start + day * DAY):
            write_test_delivery(endpoint)
            deliver_due()
        assert WebhookEndpoint.objects.get().disabled_reason == ""
    with clock.frozen(start + 5 * DAY):
        write_test_delivery(endpoint)
        deliver_due()
    reason = WebhookEndpoint.objects.get().disabled_reason
    assert reason == "No success for 5 days; the last error: HTTP 500."
    assert "[webhookEndpointDisabled]" in caplog.text


def test_a_success_restarts_the_five_days(receiver: Receiver) -> None:
    endpoint, start = receiver.endpoint(), clock.now()
    for day, answer in enumerate([(500, {}), (500, {}), OK, (500, {}), (500, {}), (500, {}), (500, {})]):
        receiver.answer = lambda _, answer=answer: answer
        with clock.frozen(start + day * DAY):
            WebhookDelivery.objects.all().delete()
            write_test_delivery(endpoint)
            deliver_due()
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.disabled_reason == "" and endpoint.failing_since == start + 3 * DAY


def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.answer = lambda _: (307, {"Location": elsewhere.url})
        row = one_event(receiver)
        deliver_due()
        row.refresh_from_db()
        assert (row.last_status, row.last_error) == (307, "a redirect, which is not followed")
        assert elsewhere.tries == 0


def test_a_response_body_is_not_stored_and_an_endless_one_is_cut_off(receiver: Receiver) -> None:
    receiver.answer = lambda _: (200, {"body": "secret of a neighbour " * 100_000})
    row = one_event(receiver)
    deliver_due()
    row.refresh_from_db()
    assert row.state == S.DELIVERED
    assert "neighbour" not in str(WebhookDelivery.objects.values())


def test_a_refused_connection_is_a_failure_that_names_only_its_kind(receiver: Receiver) -> None:
    with socket.socket() as unused:  # keeps the port from being used by others
        unused.bind(("127.0.0.1", 0))
        row = one_event(receiver, url=f"http://127.0.0.1:{unused.getsockname()[1]}/")
        deliver_due()
    row.refresh_from_db()
    assert (row.state, row.last_status, row.last_error) == (S.PENDING, None, "no response: ClientConnectorError")


def test_a_server_that_never_answers_times_out(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_TIMEOUT = 0.3
    released = threading.Event()
    receiver.answer = lambda _: (released.wait(20), OK)[1]
    row = one_event(receiver)
    deliver_due()
    released.set()
    row.refresh_from_db()
    assert (row.state, row.last_error) == (S.PENDING, "no response in time")


def test_an_endpoint_without_a_live_secret_gets_nothing(receiver: Receiver) -> None:
    row = write_test_delivery(WebhookEndpoint.objects.create(url=receiver.url))
    deliver_due()
    row.refresh_from_db()
    assert (receiver.tries, row.last_error) == (0, "the endpoint has no live secret")


# --- Replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_has_the_same_id_and_body_and_all_its_attempts(receiver: Receiver) -> None:
    row = one_event(receiver)
    deliver_due()
    deliveries.replay_one(row, actor="test")
    deliver_due()
    assert len(receiver.ids) == 2 and len(set(receiver.ids)) == 1
    assert receiver.received[0] == receiver.received[1]


def test_deliveries_since_a_time_are_replayed_delivered_ones_on_request(receiver: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setattr(deliveries, "STEP", 2)
    endpoint, start = receiver.endpoint(), clock.now()
    for hour in range(6):
        with clock.frozen(start + hour * HOUR):
            write_test_delivery(endpoint)
    first, *others = WebhookDelivery.objects.order_by("created_at")
    WebhookDelivery.objects.update(state=S.DEAD, attempts=10)
    WebhookDelivery.objects.filter(pk__in=[first.pk, others[-1].pk]).update(state=S.DELIVERED)

    def replay(**how: Any) -> int:
        how = {"delivered": False, "dry_run": False, "actor": "test", **how}
        return deliveries.replay_since(endpoint, start + HOUR, **how)

    assert (replay(dry_run=True), replay(dry_run=True, delivered=True)) == (4, 5)
    assert WebhookDelivery.objects.filter(state=S.PENDING).count() == 0
    assert (replay(), replay(delivered=True)) == (4, 5)
    with clock.frozen(start + DAY):
        assert deliver_due() == 5
    assert len(receiver.received) == 5
