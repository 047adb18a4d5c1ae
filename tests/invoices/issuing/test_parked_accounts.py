"""Accounts that are parked because of their login."""

from datetime import timedelta
from typing import Any

import pytest

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing.parked_accounts import probe_parked
from invoices.issuing.pump import issue_due
from invoices.lifecycle import State
from invoices.models import Invoice
from merchants.models import ProviderAccount
from tests import cast
from tests.invoices.provider_records import seller_at

pytestmark = pytest.mark.django_db


def test_a_wrong_login_parks_the_account_until_a_probe_succeeds(provider: Simulator, settings: Any) -> None:
    merchant = seller_at(provider)
    account = merchant.accounts.get()
    account.set_credentials({"username": merchant.tax_info.tax_code, "password": "wrong"})
    account.save()
    invoice = cast.queued(merchant)
    issue_due(invoice.partition)
    invoice.refresh_from_db()
    account.refresh_from_db()
    assert (invoice.state, invoice.attempts) == (State.QUEUED, 0)
    assert account.parked_for_login
    later = clock.now() + timedelta(minutes=10)
    with clock.frozen(later):
        issue_due(invoice.partition)  # time alone does not reopen the account
        assert probe_parked() == 0
    with clock.frozen(later + timedelta(minutes=10)):
        account.set_credentials({"username": merchant.tax_info.tax_code, "password": f"pass-{merchant.code}"})
        ProviderAccount.objects.filter(pk=account.pk).update(encrypted_credentials=account.encrypted_credentials)
        assert probe_parked() == 1
        issue_due(invoice.partition)
    assert Invoice.objects.get().state == State.ISSUED
