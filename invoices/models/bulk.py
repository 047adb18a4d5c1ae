"""One verb for many invoices: chosen once, tried dry, confirmed with a reason, then done one by one by a worker."""

from typing import Any

from django.conf import settings
from django.db import models

from config.base.records import Record


class BulkRun(Record):
    class State(models.TextChoices):
        REHEARSING = "rehearsing"  # each is tried dry
        READY = "ready"  # for a person to confirm
        RUNNING = "running"
        DONE = "done"
        ABORTED = "aborted"

    verb = models.CharField(max_length=10)
    chosen = models.TextField(blank=True)  # the list's filters, as its address has them
    state = models.CharField(max_length=10, choices=State.choices, default=State.REHEARSING)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")  # who confirmed, or chose
    reason = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["updated_at"], condition=models.Q(state__in=["rehearsing", "running"]), name="bulk_runs_at_work"
            )
        ]

    def __str__(self) -> str:
        return f"{self.verb} of many, {self.state}"

    @property
    def is_at_work(self) -> bool:
        return self.state in (self.State.REHEARSING, self.State.RUNNING)

    @property
    def actor(self) -> str:
        return f"user:{self.user_id}"

    def tally(self) -> dict[str, int]:
        """How far it is. Items are counted, no counter is kept, so that no crash can leave it wrong."""

        def count(**of: Any) -> models.Count:
            return models.Count("id", filter=models.Q(**of))

        outcomes = {outcome.value: count(outcome=outcome) for outcome in BulkItem.Outcome}
        return self.items.aggregate(
            total=models.Count("id"), tried=count(would__isnull=False), would=count(would=True), **outcomes
        )


class BulkItem(models.Model):
    """One invoice of a run. The act and its outcome are written in one transaction: nothing is done twice."""

    class Outcome(models.TextChoices):
        ACTED = "acted"
        DECLINED = "declined"  # it was possible at the dry run and is not any more
        FAILED = "failed"  # our own fault: see the log

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(BulkRun, models.PROTECT, related_name="items", db_index=False)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="+", db_index=False)
    would = models.BooleanField(null=True)  # act, as the dry run found
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    why = models.CharField(max_length=200, blank=True)  # of the outcome, or of the dry run

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "invoice"], name="one_item_an_invoice")]
        indexes = [models.Index(fields=["run", "would", "outcome", "id"], name="bulk_items_to_do")]

    def __str__(self) -> str:
        return f"{self.invoice_id} {self.outcome}".strip()
