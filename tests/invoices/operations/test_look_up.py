"""Operators' look-ups, and adopting a found invoice."""

import pytest

from invoices.dev.simulator import Simulator
from invoices.lifecycle import State, WrongState
from invoices.operations.adopt import adopt
from invoices.operations.look_up import look_up
from invoices.operations.skip import skip
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


@pytest.mark.django_db(transaction=True)
def test_an_operators_look_up_counts_like_the_pumps_and_is_audited(provider: Simulator) -> None:
    merchant = seller_at(provider)
    there, nowhere = cast.uncertain(merchant=merchant), cast.uncertain(merchant=merchant)
    issue_at_provider(there)
    looked = look_up(there, **WHO)
    assert (looked.invoice.state, looked.invoice.number) == (State.ISSUED, "1")
    looked = look_up(nowhere, **WHO)
    assert (looked.invoice.state, looked.answer, looked.summary) == (
        State.UNCERTAIN,
        None,
        "the provider does not know it",
    )
    assert nowhere.issuances.get().lookups == 1
    last = nowhere.tracings.last()
    assert last and (last.event_type, last.actor) == ("looked_up", "user:7")
    assert last.reason == "the buyer called – the provider does not know it"


def test_a_look_up_that_fails_proves_nothing_and_says_so() -> None:
    invoice = cast.uncertain()  # no server listens at its address
    looked = look_up(invoice, **WHO)
    assert looked.invoice.state == State.UNCERTAIN and looked.summary.startswith("the look-up failed: ")
    assert invoice.issuances.get().not_founds == 0
    last = invoice.tracings.last()
    assert last and last.outcome == "failed"


def test_an_invoice_that_was_never_sent_or_is_being_sent_is_not_looked_up() -> None:
    with pytest.raises(WrongState, match="never sent"):
        look_up(cast.queued(), **WHO)
    with pytest.raises(WrongState, match="being sent"):
        look_up(cast.sending(), **WHO)


def test_an_operator_adopts_what_the_provider_has(provider: Simulator) -> None:
    invoice = skip(cast.uncertain(merchant=seller_at(provider)), **WHO)
    with pytest.raises(WrongState, match="does not know"):
        adopt(invoice, **WHO)
    issue_at_provider(invoice)
    adopted = adopt(invoice, **WHO)
    assert (adopted.state, adopted.number) == (State.ISSUED, "1")
