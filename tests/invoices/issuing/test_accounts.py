"""Accounts: one that is full, blocked or parked never delays another, and dates never run backwards."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing import pump
from invoices.issuing.calls import FinishedCall
from invoices.issuing.lookups import take_lookups
from invoices.issuing.parked_accounts import probe_parked
from invoices.issuing.pump import issue_due
from invoices.issuing.record import record
from invoices.issuing.take import take
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations.replay import replay
from invoices.providers.base import Issued
from invoices.providers.http import redact
from invoices.queues import partition_of
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.provider_records import seller_at

pytestmark = pytest.mark.django_db(transaction=True)
ORDERS = (order for at in count() if partition_of(order := f"account-{at}", 3) == 0)  # all of one partition


def due(merchant: Any, **overrides: Any) -> Invoice:
    return cast.queued(merchant, orderId=next(ORDERS), **overrides)


def state_of(invoice: Invoice) -> str:
    return Invoice.objects.get(pk=invoice.pk).state


def with_foreign_credentials(merchant: Any) -> ProviderAccount:
    account = merchant.accounts.get()
    foreign = cast.seller().accounts.get().encrypted_credentials
    ProviderAccount.objects.filter(pk=account.pk).update(encrypted_credentials=foreign)
    return account


def test_a_login_that_cannot_be_decrypted_parks_its_own_account_only(provider: Simulator) -> None:
    merchant = seller_at(provider)
    locked, other = due(merchant), due(seller_at(provider))
    login = merchant.accounts.get().credentials
    account = with_foreign_credentials(merchant)
    issue_due(0)
    locked.refresh_from_db()
    assert (locked.state, locked.attempts, locked.exposed) == (State.QUEUED, 0, False)
    assert state_of(other) == State.ISSUED
    account.refresh_from_db()
    assert account.parked_for_login and account.parked_reason.startswith("no_login: the login must be entered again")

    ProviderAccount.objects.filter(pk=account.pk).update(parked_until=clock.now())
    assert probe_parked() == 0
    account.set_credentials(login)
    account.parked_until = clock.now()
    account.save()
    assert probe_parked() == 1
    issue_due(0)
    assert state_of(locked) == State.ISSUED


def test_a_look_up_without_a_readable_login_proves_nothing_and_stops_no_other(provider: Simulator) -> None:
    merchant = seller_at(provider)
    locked = cast.uncertain(merchant=merchant, orderId=next(ORDERS))
    other = due(seller_at(provider))
    Invoice.objects.filter(pk=locked.pk).update(not_before=clock.now())
    with_foreign_credentials(merchant)
    issue_due(0)
    locked.refresh_from_db()
    assert (locked.state, locked.lookups, locked.not_before > clock.now()) == (State.UNCERTAIN, 1, True)
    assert state_of(other) == State.ISSUED


def test_accounts_that_are_full_or_owe_an_earlier_day_take_no_room_from_a_free_one() -> None:
    for _ in range(2):
        full = cast.seller()
        ProviderAccount.objects.filter(merchant=full).update(in_flight=1)
        cast.sending(full, orderId=next(ORDERS))
        due(full)
    blocked = cast.seller()
    owed = due(blocked)
    Invoice.objects.filter(pk=owed.pk).update(state=State.UNCERTAIN, issue_date=clock.today_vn() - timedelta(days=1))
    due(blocked)
    free = due(cast.seller())
    assert [call.invoice_id for call in take(0, 2)] == [free.pk]


def test_accounts_after_the_last_one_served_come_before_those_that_were_just_freed() -> None:
    first, second, third = (cast.seller() for _ in range(3))
    for merchant in (first, second, third, first, second, third):
        due(merchant)
    ProviderAccount.objects.update(in_flight=1)
    ids = [ProviderAccount.objects.get(merchant=merchant).pk for merchant in (first, second, third)]
    assert [call.account.id for call in take(0, 1, freed={ids[0]}, after=ids[0])] == [ids[1]]
    assert [call.account.id for call in take(0, 5, freed={ids[0]}, after=ids[0])] == [ids[0], ids[2]]


def test_a_full_worker_serves_all_accounts_in_turn(provider: Simulator, settings: Any) -> None:
    settings.BATCH = 2
    merchants = [seller_at(provider) for _ in range(4)]
    rows = [due(merchant) for _ in range(3) for merchant in merchants]
    issue_due(0)
    numbers = list(Invoice.objects.filter(pk__in=[row.pk for row in rows]).values_list("state", flat=True))
    assert numbers == [State.ISSUED] * 12


def test_the_turn_of_a_worker_that_serves_one_partition_alone_does_not_end(
    provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "TURN_SECONDS", 0)
    due(seller_at(provider))
    assert issue_due(0) == 0
    assert issue_due(0, alone=True) == 1


def test_look_ups_of_an_account_are_few_at_once_and_do_not_delay_those_of_another() -> None:
    crowd, quiet = cast.seller(), cast.seller()
    for _ in range(12):
        cast.uncertain(merchant=crowd, orderId=next(ORDERS))
    Invoice.objects.update(not_before=clock.now() - timedelta(minutes=1))
    last = cast.uncertain(merchant=quiet, orderId=next(ORDERS))
    Invoice.objects.filter(pk=last.pk).update(not_before=clock.now())
    first = take_lookups(0, 10)
    busy = {call.account.id for call in first}
    assert (len(first), len(busy)) == (4, 1)
    assert [call.invoice_id for call in take_lookups(0, 10, busy)] == [last.pk]


@pytest.mark.parametrize("text", ["a surrogate \ud83d", "a NUL \0 inside"])
def test_an_answer_that_cannot_be_written_does_not_affect_the_others(text: str) -> None:
    for _ in range(2):
        due(cast.seller())
    good, bad = take(0, 10)
    answers = [
        FinishedCall(bad, Issued(number="7", symbol="C26TAA", code=text), clock.now()),
        FinishedCall(good, Issued(number="1", symbol="C26TAA", code="00A"), clock.now()),
    ]
    record(answers)
    assert Invoice.objects.get(pk=good.invoice_id).number == "1"
    row = Invoice.objects.get(pk=bad.invoice_id)
    assert (row.state, row.number) == (State.UNCERTAIN, "")
    assert row.issuances.get().code == "unwritable"


def test_surrogates_and_nul_in_a_vendor_s_text_are_made_storable() -> None:
    assert redact("half a face \ud83d, nothing \0 at all") == "half a face ?, nothing  at all"


def test_a_sale_of_yesterday_fails_as_late_once_one_of_today_was_sent(provider: Simulator) -> None:
    merchant = seller_at(provider)
    first = due(merchant)
    issue_due(0)
    assert state_of(first) == State.ISSUED
    assert merchant.accounts.get().last_issue_date == clock.today_vn()
    late = due(merchant)
    yesterday = clock.today_vn() - timedelta(days=1)
    Invoice.objects.filter(pk=late.pk).update(issue_date=yesterday)
    today = due(merchant)
    issue_due(0)
    late.refresh_from_db()
    assert (late.state, late.failure, late.exposed, late.issuances.count()) == (State.FAILED, "late", False, 0)
    assert state_of(today) == State.ISSUED
    assert provider.summary()["backwards"] == 0

    for _ in range(9):  # more than the account has slots: all of them fail together
        due(merchant)
    Invoice.objects.filter(state=State.QUEUED).update(issue_date=yesterday)
    newest = due(merchant)
    assert [call.invoice_id for call in take(0, 10)] == [newest.pk]
    assert Invoice.objects.filter(state=State.FAILED, failure="late").count() == 10

    replay(late, actor="user:1", reason="the day is over")
    issue_due(0)
    late.refresh_from_db()
    assert (late.state, late.issue_date) == (State.ISSUED, clock.today_vn())
