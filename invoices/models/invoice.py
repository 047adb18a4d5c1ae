"""An order's legal invoice, from the payment to the tax authority's code."""

import secrets
import uuid
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from simple_history.models import HistoricalRecords

from config.base.records import Record
from invoices.lifecycle import AWAITING_LOOKUP, NUMBERED, OWED, UNEXPOSED, Reason, State

REFERENCES = uuid.UUID("5c6e3b0a-8f0e-5d52-9a55-7f0f5f1f9c11")  # the namespace of references: never change it

# Excluded from simple-history: personal data, secrets, and constant fields.
NOT_IN_HISTORY = ["buyer", "sold", "bill", "document", "config_snapshot", "claim_token", "failure_message", "trace"]


class Invoice(Record):
    class Kind(models.TextChoices):
        ORIGINAL = "original"
        REPLACEMENT = "replacement"
        ADJUSTMENT = "adjustment"

    # The sale
    merchant = models.ForeignKey(
        "merchants.Merchant", models.PROTECT, related_name="invoices", db_index=False
    )  # see by_merchant
    order_id = models.CharField(max_length=64)
    payment_id = models.CharField(max_length=64, blank=True)
    document_no = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=11, choices=Kind.choices, default=Kind.ORIGINAL)
    relates_to = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="corrections")
    paid_at = models.DateTimeField()
    sold = models.JSONField(encoder=DjangoJSONEncoder)  # the payment's lines, discount, total, pricesIncludeVat …
    bill = models.JSONField()  # the settled lines and totals: money.Bill
    total = models.BigIntegerField()  # đồng, VAT included
    vat = models.BigIntegerField(default=0)

    # The buyer
    buyer = models.JSONField(default=dict, blank=True)  # empty means the consumer
    buyer_source = models.CharField(max_length=8, blank=True)
    claim_token = models.CharField(max_length=43, null=True, blank=True, editable=False)
    claim_deadline = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)

    # The issuer
    account = models.ForeignKey(
        "merchants.ProviderAccount", models.PROTECT, null=True, blank=True, db_index=False
    )  # see by_account
    config_snapshot = models.JSONField(default=dict)  # merchant, seller, policy and account as they were at opening
    partition = models.PositiveSmallIntegerField()
    trace = models.UUIDField(null=True, editable=False)  # the payment's, so that a sale has one trace in the log

    # The progress
    state = models.CharField(max_length=9, choices=[(s.value, s.value) for s in State])
    not_before = models.DateTimeField()  # the due time: to send, to look up, or to count SENDING as abandoned
    attempts = models.PositiveSmallIntegerField(default=0)  # of the current budget
    lookups = models.PositiveSmallIntegerField(default=0)  # since it became uncertain or submitted
    exposed_at = models.DateTimeField(null=True, blank=True)
    exposed_by = models.BigIntegerField(null=True, blank=True)  # the id of the attempt that exposed it
    first_uncertain_at = models.DateTimeField(null=True, blank=True)  # when the first send of uncertain outcome began
    final_lookup_at = models.DateTimeField(null=True, blank=True)  # the final look-up, which alone ends the uncertainty
    failure = models.CharField(max_length=9, choices=[(r.value, r.value) for r in Reason], blank=True)
    failure_code = models.CharField(max_length=80, blank=True)  # the vendor's own
    failure_field = models.CharField(max_length=60, blank=True)  # the document's field at fault: "buyer.tax_code"
    failure_message = models.TextField(blank=True)

    # The legal invoice
    issue_date = models.DateField()
    issue_until = models.DateTimeField()
    reference = models.UUIDField(editable=False)
    document = models.TextField(blank=True, editable=False)  # the frozen Document, canonical JSON
    document_sha256 = models.CharField(max_length=64, blank=True, editable=False)  # of the latest; never emptied
    provider = models.CharField(max_length=20, blank=True)
    seller_tax_code = models.CharField(max_length=14, blank=True)
    form = models.CharField(max_length=1, blank=True)
    symbol = models.CharField(max_length=6, blank=True)
    number = models.CharField(max_length=8, blank=True)
    code = models.CharField(max_length=34, blank=True)  # of the tax authority
    lookup_code = models.CharField(max_length=50, blank=True)
    lookup_url = models.URLField(blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    files_due = models.DateTimeField(null=True, blank=True)  # when to fetch PDF and XML; NULL: nothing to fetch
    files_attempts = models.PositiveSmallIntegerField(default=0)

    # After it was issued
    refunded_at = models.DateTimeField(null=True, blank=True)
    refunded_amount = models.BigIntegerField(default=0)  # đồng
    settled_refund = models.BigIntegerField(default=0)  # đồng of it that the amended lines already deduct
    correction_owed = models.BooleanField(default=False)

    # The head of the audit chain, so that a missing last row is detected
    audit_seq = models.PositiveIntegerField(default=0)
    audit_hash = models.CharField(max_length=64, blank=True)

    history = HistoricalRecords(excluded_fields=NOT_IN_HISTORY)

    class Meta:
        permissions = [
            ("view_buyer", "Can see and search buyers by their personal data"),
            ("replay_invoice", "Can replay invoices"),
            ("look_up_invoice", "Can look invoices up at the provider"),
            ("amend_invoice", "Can amend the buyer and the lines of failed invoices"),
            ("adopt_invoice", "Can adopt the provider's invoice as ours"),
            ("refresh_invoice_configuration", "Can refresh the configuration of failed invoices"),
            ("issue_invoice_now", "Can issue without waiting for the claim window"),
            ("cancel_invoice", "Can cancel invoices before they are issued"),
            ("skip_invoice", "Can skip an invoice that holds up its account"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "order_id", "document_no"], name="one_document_a_number_for_ever"
            ),
            models.UniqueConstraint(
                fields=["provider", "seller_tax_code", "form", "symbol", "number"],
                condition=~Q(number=""),
                name="one_invoice_a_legal_number",
            ),
            models.UniqueConstraint(
                fields=["relates_to"],
                condition=~Q(kind="original") & ~Q(state__in=["ISSUED", "FAILED", "CANCELLED", "REPLACED", "ADJUSTED"]),
                name="one_open_correction",
            ),
            models.UniqueConstraint(
                fields=["claim_token"], condition=Q(claim_token__isnull=False), name="one_claim_token"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=list(UNEXPOSED)) | Q(exposed_at=None), name="unexposed_states_are_unexposed"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=list(NUMBERED)) | ~Q(number=""), name="numbered_states_have_a_number"
            ),
            models.CheckConstraint(condition=Q(state="FAILED") | Q(failure=""), name="only_failed_has_a_failure"),
        ]
        indexes = [
            # Each scan of the pump and the sweep has its own index, which holds only open rows.
            models.Index(
                fields=["partition", "account", "not_before"], condition=Q(state="QUEUED"), name="due_by_account"
            ),
            models.Index(fields=["account", "issue_date", "id"], condition=Q(state="QUEUED"), name="queue_of_account"),
            models.Index(fields=["account", "issue_date"], condition=Q(state__in=list(OWED)), name="owed_by_account"),
            models.Index(fields=["account", "not_before"], condition=Q(state="SENDING"), name="in_flight_of_account"),
            models.Index(fields=["not_before"], condition=Q(state="SENDING"), name="abandoned"),
            models.Index(
                fields=["partition", "not_before"], condition=Q(state__in=list(AWAITING_LOOKUP)), name="due_lookups"
            ),
            models.Index(fields=["issue_until"], condition=Q(state="QUEUED"), name="unsent_by_limit"),
            models.Index(fields=["partition", "claim_deadline"], condition=Q(state="WAITING"), name="claims_closing"),
            models.Index(fields=["files_due"], condition=Q(files_due__isnull=False), name="files_missing"),
            models.Index(fields=["final_lookup_at"], condition=Q(final_lookup_at__isnull=False), name="final_lookups"),
            models.Index(
                fields=["issue_until"],
                condition=Q(state="FAILED", failure="refused", failure_field__startswith="buyer."),
                name="refused_buyers",
            ),
            models.Index(fields=["failure", "id"], condition=Q(state="FAILED"), name="failed_by_reason"),
            models.Index(fields=["id"], condition=Q(correction_owed=True), name="corrections_owed"),
            # The invoices that ended on a day: the home page links to them.
            models.Index(fields=["issued_at"], condition=Q(issued_at__isnull=False), name="issued_by_time"),
            models.Index(
                fields=["state", "updated_at"],
                condition=Q(state__in=["FAILED", "CANCELLED", "EXPIRED"]),
                name="ended_by_time",
            ),
            # Serves = and LIKE 'prefix%' under any collation.
            models.Index(fields=["order_id"], opclasses=["varchar_pattern_ops"], name="by_order"),
            # For the API's lists and filters, which may not read rows that they do not return.
            models.Index(fields=["merchant", "id"], name="by_merchant"),
            models.Index(fields=["merchant", "issue_date"], name="by_issue_date"),
            models.Index(fields=["account", "id"], name="by_account"),
            models.Index(fields=["state", "id"], condition=~Q(state="ISSUED"), name="unissued_by_state"),
            models.Index(fields=["number"], condition=~Q(number=""), name="by_number"),
            models.Index(fields=["reference"], condition=Q(number=""), name="unnumbered_by_reference"),
            models.Index(fields=["code"], condition=~Q(code=""), name="by_code"),
            models.Index(KT("buyer__taxCode"), condition=Q(buyer__has_key="taxCode"), name="by_buyer_tax_code"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.document_no} {self.state}"

    @property
    def exposed(self) -> bool:
        return self.exposed_at is not None

    @property
    def was_taken(self) -> bool:
        """The document is rendered at the first take. Its hash stays even when an action removes the document."""
        return bool(self.document_sha256)

    @property
    def buyer_is_final(self) -> bool:
        """No fact changes the buyer any more: it was taken, an operator set the buyer, or the sale has lapsed."""
        return self.was_taken or self.buyer_source == "operator" or self.state == State.EXPIRED

    @property
    def open_refund(self) -> int:
        """Refunded đồng that are not yet deducted from the lines."""
        return self.refunded_amount - self.settled_refund

    @property
    def legal_number(self) -> str:
        """The form, symbol and number, as printed."""
        return f"{self.form}{self.symbol}-{self.number}" if self.number else ""

    @property
    def claim_url(self) -> str:
        return f"{settings.PUBLIC_URL}/claims/{self.claim_token}" if self.claim_token else ""

    @property
    def about(self) -> dict[str, Any]:
        """The fields of every log line about it."""
        merchant = self.config_snapshot.get("merchant", {}).get("code")
        fields = {"order": self.order_id, "invoice": self.pk, "merchant": merchant, "partition": self.partition}
        return fields | ({"trace": self.trace.hex} if self.trace else {})

    @property
    def policy(self) -> dict[str, Any]:
        return self.config_snapshot.get("policy", {})

    def has_used_every_retry(self) -> bool:
        return self.attempts > len(settings.RETRY_STEPS)


def reference_of(merchant_code: str, order_id: str, document_no: int) -> uuid.UUID:
    """The id that we give the provider, which uses it as its duplicate key. Derived: the same even after a restore."""
    return uuid.uuid5(REFERENCES, f"{merchant_code}\n{order_id}\n{document_no}")


def new_claim_token() -> str:
    return secrets.token_urlsafe(24)
