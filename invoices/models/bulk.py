"""Bulk runs: one verb for many invoices, previewed, confirmed with a reason, then performed by a worker."""

from typing import Any

from django.conf import settings
from django.db import models

from config.base.records import Record


class BulkRun(Record):
    class State(models.TextChoices):
        PREVIEWING = "previewing"  # a dry run of each item
        READY = "ready"  # to be confirmed
        RUNNING = "running"
        DONE = "done"
        ABORTED = "aborted"

    verb = models.CharField(max_length=10)
    selection = models.TextField(blank=True)  # the query string of the list that the invoices were selected from
    state = models.CharField(max_length=10, choices=State.choices, default=State.PREVIEWING)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+"
    )  # the user who confirmed it; before that, who created it
    reason = models.CharField(max_length=300, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["updated_at"], condition=models.Q(state__in=["previewing", "running"]), name="active_bulk_runs"
            )
        ]

    def __str__(self) -> str:
        return f"{self.verb}, {self.state}"

    @property
    def is_active(self) -> bool:
        return self.state in (self.State.PREVIEWING, self.State.RUNNING)

    @property
    def actor(self) -> str:
        return f"user:{self.user_id}"

    def counts(self) -> dict[str, int]:
        """The progress, counted from the items: a stored counter could be wrong after a crash."""

        def count(**of: Any) -> models.Count:
            return models.Count("id", filter=models.Q(**of))

        outcomes = {outcome.value: count(outcome=outcome) for outcome in BulkItem.Outcome}
        return self.items.aggregate(
            total=models.Count("id"),
            previewed=count(would_act__isnull=False),
            would_act=count(would_act=True),
            **outcomes,
        )


class BulkItem(models.Model):
    """One invoice of a run. The verb and its outcome are written in one transaction, so nothing is done twice."""

    class Outcome(models.TextChoices):
        ACTED = "acted"
        DECLINED = "declined"  # it was possible at the dry run and no longer is
        FAILED = "failed"  # an internal error: see the log

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(BulkRun, models.PROTECT, related_name="items", db_index=False)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, related_name="+", db_index=False)
    would_act = models.BooleanField(null=True)  # the dry run's finding; NULL: not previewed yet
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    reason = models.CharField(max_length=200, blank=True)  # of the outcome; before that, of the dry run

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "invoice"], name="one_item_an_invoice")]
        indexes = [models.Index(fields=["run", "would_act", "outcome", "id"], name="bulk_items_to_do")]

    def __str__(self) -> str:
        return f"{self.invoice_id} {self.outcome}".strip()
