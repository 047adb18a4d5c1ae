"""Attempts at a provider, and the files of issued invoices."""

from django.db import models

from config.base.ids import Snowflake
from config.base.records import Record


class InvoiceIssuance(Record):
    """One attempt: a send, its answer, and the look-ups that followed."""

    class Outcome(models.TextChoices):
        OPEN = "open"
        ISSUED = "issued"
        SUBMITTED = "submitted"
        REFUSED = "refused"
        UNAVAILABLE = "unavailable"
        UNCERTAIN = "uncertain"
        ABANDONED = "abandoned"  # no answer was recorded in the longest time that a call can take

    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="issuances")
    account = models.ForeignKey("merchants.ProviderAccount", models.PROTECT)
    attempt = models.PositiveSmallIntegerField()
    provider = models.CharField(max_length=20)
    tax_code = models.CharField(max_length=14)  # the seller's, as it was sent
    reference = models.UUIDField(editable=False)
    document_sha256 = models.CharField(max_length=64)
    taken_at = models.DateTimeField()
    last_byte_by = models.DateTimeField()  # no byte of the send can leave us after this
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=11, choices=Outcome.choices, default=Outcome.OPEN)
    scope = models.CharField(max_length=10, blank=True)
    code = models.CharField(max_length=80, blank=True)  # the vendor's own
    message = models.TextField(blank=True)
    response = models.JSONField(null=True, blank=True)  # redacted
    symbol = models.CharField(max_length=6, blank=True)
    number = models.CharField(max_length=8, blank=True)
    lookups = models.PositiveSmallIntegerField(default=0)
    not_founds = models.PositiveSmallIntegerField(default=0)  # only those that count as proof
    not_found_at = models.DateTimeField(null=True, blank=True)  # when the last of those ended

    class Meta:
        verbose_name = "attempt"
        indexes = [
            models.Index(fields=["invoice", "id"], name="issuances_of_invoice"),
            models.Index(fields=["reference"], name="issuances_by_reference"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt}: {self.outcome} {self.code}".strip()

    @property
    def document(self) -> str:
        """The text that it sent: the invoice's, or the SentDocument that was kept when the invoice's was replaced."""
        if self.invoice.document and self.document_sha256 == self.invoice.document_sha256:
            return self.invoice.document
        replaced = SentDocument.objects.filter(invoice=self.invoice_id, sha256=self.document_sha256).first()
        return replaced.document if replaced else ""

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.taken_at).total_seconds() if self.ended_at else None


class SentDocument(models.Model):
    """A document that an invoice no longer has. `move` keeps it when another one replaces it."""

    id = models.BigIntegerField(primary_key=True, db_default=Snowflake(), editable=False)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="sent_documents", db_index=False)
    sha256 = models.CharField(max_length=64)
    document = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invoice", "sha256"], name="one_sent_document_a_hash")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} of {self.invoice_id}"


class InvoiceFile(Record):
    class Kind(models.TextChoices):
        PDF = "pdf"
        XML = "xml"

    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="files")
    kind = models.CharField(max_length=3, choices=Kind.choices)
    file = models.FileField(upload_to="invoices/%Y/%m/%d/")
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()  # bytes

    class Meta:
        verbose_name = "file"
        constraints = [models.UniqueConstraint(fields=["invoice", "kind"], name="one_file_a_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.invoice_id}"
