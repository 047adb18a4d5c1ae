"""The final look-up, a day after the last uncertain send."""

from datetime import timedelta

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.final_lookups import run_final_lookups
from invoices.lifecycle import State
from invoices.models import Invoice
from invoices.operations.skip import skip
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at

pytestmark = pytest.mark.django_db
WHO = {"actor": "user:7", "reason": "the buyer called"}


def test_the_final_look_up_ends_the_uncertainty_or_finds_a_conflict(provider: Simulator) -> None:
    merchant = seller_at(provider)
    absent, present = skip(cast.uncertain(merchant=merchant), **WHO), skip(cast.uncertain(merchant=merchant), **WHO)
    for invoice in (absent, present):
        Invoice.objects.filter(pk=invoice.pk).update(exposed_at=None, exposed_by=None)
    issue_at_provider(present)
    with clock.frozen(clock.now() + timedelta(days=2)):
        assert run_final_lookups() == 2
        assert run_final_lookups() == 0
    absent.refresh_from_db()
    present.refresh_from_db()
    assert (absent.failure, absent.first_uncertain_at, absent.final_lookup_at) == ("skipped", None, None)
    assert (present.state, present.failure) == (State.FAILED, "conflict")
