"""The audit: each step of an invoice with its time, actor and reason. A trigger refuses UPDATE and DELETE."""

import json
from typing import Any

from django.db import models

from config.base.ids import Snowflake


class InvoiceAuditTracing(models.Model):
    class Outcome(models.TextChoices):
        OK = "ok"
        FAILED = "failed"
        REFUSED = "refused"
        SKIPPED = "skipped"

    id = models.BigIntegerField(primary_key=True, db_default=Snowflake(), editable=False)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="tracings")
    seq = models.PositiveIntegerField()  # 1, 2, 3 … without a gap, per invoice
    event_type = models.CharField(max_length=40)
    outcome = models.CharField(max_length=7, choices=Outcome.choices)
    actor = models.CharField(max_length=100)
    at = models.DateTimeField()
    record = models.TextField()  # the canonical JSON that the hash covers
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name = "audit record"
        constraints = [models.UniqueConstraint(fields=["invoice", "seq"], name="one_tracing_a_seq")]
        ordering = ["invoice_id", "seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.event_type} {self.outcome}"

    @property
    def content(self) -> dict[str, Any]:
        """The record as JSON: seq, eventType, outcome, actor, reason, before, after, at."""
        return json.loads(self.record)

    @property
    def reason(self) -> str:
        return self.content["reason"]
