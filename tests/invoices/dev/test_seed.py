"""A seeded database looks like a real one, and can be created in development only."""

from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from config.base import clock
from config.monitoring import gauges
from invoices.audit import chain_hash
from invoices.dev.seeding import loading
from invoices.issuing import documents
from invoices.lifecycle import NUMBERED, State
from invoices.models import Invoice, InvoiceAuditTracing, InvoiceIssuance, Payment
from merchants.models import Merchant

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "PART", 250)  # several parts, in separate processes
    call_command("seed", invoices=600, merchants=8, days=2, verbosity=0)


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename LIKE 'invoices_%%'")
        return {row[0] for row in cursor.fetchall()}


def test_seeded_invoices_are_consistent_like_real_ones(seeded: None) -> None:
    assert Invoice.objects.count() == Payment.objects.count() == 600
    states = Counter(Invoice.objects.values_list("state", flat=True))
    assert states["ISSUED"] > 400 and len(states) >= 4
    for invoice in Invoice.objects.select_related("merchant"):
        hash, records = "", list(invoice.tracings.all())
        for seq, row in enumerate(records, start=1):
            hash = chain_hash(hash, row.record)
            content = row.content
            assert (row.seq, row.hash, content["id"], content["at"]) == (seq, hash, str(row.pk), row.at.isoformat())
            assert (content["eventType"], content["outcome"], content["actor"]) == (
                row.event_type,
                row.outcome,
                row.actor,
            )
        assert (invoice.audit_seq, invoice.audit_hash) == (len(records), hash)
        assert records[-1].content["after"]["state"] == invoice.state
        if invoice.document:
            document = documents.parse_document(invoice.document)
            assert (document.reference, document.issue_date) == (str(invoice.reference), invoice.issue_date)
            assert documents.render_document(invoice) == invoice.document, "as the pump would have rendered it"
            assert documents.sha256(invoice.document) == invoice.document_sha256
        if invoice.state in NUMBERED:
            assert invoice.issuances.get().number == invoice.number
        assert hasattr(invoice, "terms") == bool(invoice.buyer)
        assert invoice.history.count() == 2 and invoice.history.earliest().state == State.WAITING


def test_verify_audit_finds_seeded_chains_whole(seeded: None) -> None:
    call_command("verify_audit", json=True)


def test_the_gauges_count_seeded_invoices(seeded: None) -> None:
    values = gauges.collect_gauges()
    today = Invoice.objects.filter(state=State.ISSUED, issued_at__gte=clock.at_vn(clock.today_vn())).count()
    assert values["invoices_ended_today"].value_of("ISSUED") == today > 0
    assert values["claims_open"].total == Invoice.objects.filter(state=State.WAITING).count() > 0


def test_the_pages_of_seeded_invoices_open(seeded: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password="x"))
    for state in Invoice.objects.order_by("state").values_list("state", flat=True).distinct():
        invoice = Invoice.objects.filter(state=state).first()
        assert invoice
        assert client.get(reverse("admin:invoices_invoice_change", args=[invoice.pk])).status_code == 200, state


def test_a_second_seed_adds_to_the_first_and_restores_every_index(monkeypatch: Any) -> None:
    before = indexes()
    monkeypatch.setattr(loading, "FEW", 10)  # as for a large seed: the indexes are created afterwards
    for _ in range(2):
        call_command("seed", invoices=30, merchants=3, verbosity=0)
    assert Invoice.objects.count() == 60 and Merchant.objects.count() == 6
    assert indexes() == before


def test_a_failed_seed_leaves_nothing_behind(monkeypatch: Any) -> None:
    before = indexes()
    monkeypatch.setattr(loading, "_copy_histories", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call_command("seed", invoices=30, merchants=3, verbosity=0)
    assert not Invoice.objects.exists() and not InvoiceAuditTracing.objects.exists()
    assert not InvoiceIssuance.objects.exists() and indexes() == before


def test_seeded_audit_rows_are_append_only(seeded: None) -> None:
    from django.db import DatabaseError

    with pytest.raises(DatabaseError, match="append-only"):
        InvoiceAuditTracing.objects.update(actor="somebody")


def test_production_is_refused(settings: Any) -> None:
    settings.DEVELOPMENT = False
    with pytest.raises(CommandError, match="development only"):
        call_command("seed", invoices=1)
    assert not Merchant.objects.exists()
