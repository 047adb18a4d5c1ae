"""The JSON of invoices, their audit, attempts and requests, with the contract's names."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.rest.fields import Body, Boolean, NullableText, Text
from invoices.lifecycle import Reason, State
from invoices.models import Invoice, InvoiceAuditTracing
from invoices.opening.buyers import FIELDS, KINDS
from invoices.opening.money import Bill

Time = serializers.DateTimeField


class Failure(serializers.Serializer):
    reason = serializers.ChoiceField([reason.value for reason in Reason])
    message = serializers.CharField()


class InvoiceShape(serializers.Serializer):
    """An invoice in a list: the fields of the outbound webhooks, and those for its claim."""

    invoiceId = serializers.CharField(source="pk")
    sourceId = serializers.CharField(source="order_id", help_text="The order.")
    merchantId = serializers.CharField(source="merchant.code")
    documentNo = serializers.IntegerField(source="document_no")
    kind = serializers.ChoiceField(Invoice.Kind.choices)
    state = serializers.ChoiceField([state.value for state in State])
    form = serializers.CharField()
    symbol = serializers.CharField()
    number = NullableText()
    code = NullableText(help_text="Of the tax authority.")
    issueDate = serializers.DateField(source="issue_date")
    issuedAt = Time(source="issued_at", allow_null=True)
    total = serializers.IntegerField(help_text="Đồng, VAT included.")
    lookupUrl = NullableText(source="lookup_url")
    failure = serializers.SerializerMethodField()
    relatesTo = NullableText(source="relates_to_id", help_text="The invoice that this one corrects.")
    correctionOwed = serializers.BooleanField(source="correction_owed")
    refundedAmount = serializers.IntegerField(source="refunded_amount")
    claimUrl = NullableText(source="claim_url")
    claimDeadline = Time(source="claim_deadline", allow_null=True)
    claimedAt = Time(source="claimed_at", allow_null=True)
    paidAt = Time(source="paid_at")
    createdAt = Time(source="created_at")
    updatedAt = Time(source="updated_at")

    @extend_schema_field(Failure(allow_null=True))
    def get_failure(self, row: Invoice) -> dict[str, str] | None:
        return {"reason": row.failure, "message": row.failure_message} if row.failure else None


class BuyerShape(serializers.Serializer):
    def get_fields(self) -> dict[str, serializers.Field]:
        texts = {name: serializers.CharField(required=False) for name in FIELDS}
        return {**texts, "kind": serializers.ChoiceField(list(KINDS)), "name": serializers.CharField()}


class LineShape(serializers.Serializer):
    name = serializers.CharField()
    unit = NullableText()
    quantity = serializers.CharField()
    vatRate = NullableText(source="vat_rate")
    net = serializers.IntegerField()
    vat = serializers.IntegerField()
    total = serializers.IntegerField(source="gross")


class WholeInvoiceShape(InvoiceShape):
    """One invoice with its lines and, with the permission invoice.read, its buyer."""

    net = serializers.SerializerMethodField()
    vat = serializers.IntegerField()
    lines = serializers.SerializerMethodField()
    buyer = serializers.SerializerMethodField(required=False)

    def get_net(self, row: Invoice) -> int:
        return row.total - row.vat

    @extend_schema_field(LineShape(many=True))
    def get_lines(self, row: Invoice) -> Any:
        return LineShape(Bill.from_json(row.bill).lines, many=True).data

    @extend_schema_field(BuyerShape(allow_null=True))
    def get_buyer(self, row: Invoice) -> dict[str, str] | None:
        return row.buyer or None

    def to_representation(self, row: Invoice) -> dict[str, Any]:
        fields = super().to_representation(row)
        if not self.context["principal"].may("invoice.read"):
            del fields["buyer"]
        return fields


class Parked(serializers.Serializer):
    outcome = serializers.ChoiceField(["parked"])
    parked = serializers.CharField(help_text="What the merchant is missing.")
    sourceId = serializers.CharField()
    merchantId = serializers.CharField()


class Replay(Body):
    reason = Text(max_length=500)
    dryRun = Boolean(default=False, help_text="Only report the effect.")


class ReplayedShape(serializers.Serializer):
    acted = serializers.BooleanField()
    state = serializers.ChoiceField([state.value for state in State])
    why = serializers.CharField()


class TracingShape(serializers.Serializer):
    seq = serializers.IntegerField()
    eventType = serializers.CharField(source="event_type")
    outcome = serializers.ChoiceField(InvoiceAuditTracing.Outcome.values)
    actor = serializers.CharField()
    reason = serializers.CharField()
    before = serializers.SerializerMethodField()
    after = serializers.SerializerMethodField()
    at = Time()
    hash = serializers.CharField(help_text="Of this record and the previous hash.")

    def get_before(self, row: InvoiceAuditTracing) -> dict[str, Any]:
        return row.content["before"]

    def get_after(self, row: InvoiceAuditTracing) -> dict[str, Any]:
        return row.content["after"]


class IssuanceShape(serializers.Serializer):
    """One attempt at a provider, with its look-ups."""

    issuanceId = serializers.CharField(source="pk")
    attempt = serializers.IntegerField()
    provider = serializers.CharField()
    outcome = serializers.CharField()
    scope = NullableText()
    code = NullableText(help_text="The vendor's own.")
    message = NullableText()
    symbol = NullableText()
    number = NullableText()
    lookUps = serializers.IntegerField(source="lookups")
    notFounds = serializers.IntegerField(source="not_founds")
    takenAt = Time(source="taken_at")
    endedAt = Time(source="ended_at", allow_null=True)


class InvoiceRequestShape(serializers.Serializer):
    """Buyer details of an order."""

    invoiceRequestId = serializers.CharField(source="pk")
    requestId = serializers.CharField(source="request_id")
    sourceId = serializers.CharField(source="order_id")
    merchantId = serializers.CharField(source="merchant_code")
    source = serializers.CharField()  # type: ignore[assignment]  # Field has an attribute of that name
    requestedAt = Time(source="requested_at")
    buyer = serializers.SerializerMethodField()
    invoiceId = NullableText(source="invoice_id")
    tooLate = serializers.BooleanField(source="too_late")
    createdAt = Time(source="created_at")

    @extend_schema_field(BuyerShape(allow_null=True))
    def get_buyer(self, row: Any) -> dict[str, str] | None:
        return row.buyer or None
