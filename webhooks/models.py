"""What machines told us, and who wants to be told."""

from django.db import models
from simple_history.models import HistoricalRecords

from config.models import Record


class WebhookEvent(Record):
    """One verified body, kept as it came, with what we did and what we answered."""

    class Route(models.TextChoices):
        INTERNAL = "internal"
        MERCHANT = "merchant"

    class Status(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"  # the data does not add up: an operator must see it, for the sale was paid
        FAILED = "failed"  # our fault: the sweep tries again

    route = models.CharField(max_length=8, choices=Route.choices)
    webhook_id = models.CharField(max_length=200)
    type = models.CharField(max_length=40, blank=True)
    body = models.TextField()
    body_sha256 = models.CharField(max_length=64)
    secret_label = models.CharField(max_length=20)  # which of the accepted secrets matched
    status = models.CharField(max_length=7, choices=Status.choices)
    error = models.TextField(blank=True)
    answer_status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    order_id = models.CharField(max_length=64, blank=True, db_index=True)
    tries = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)  # when the sweep acts again on a failed one

    class Meta:
        constraints = [models.UniqueConstraint(fields=["route", "webhook_id"], name="one_event_an_id")]
        indexes = [models.Index(fields=["not_before"], condition=models.Q(status="failed"), name="events_to_act_again")]

    def __str__(self) -> str:
        return f"{self.type} {self.status}"


class WebhookEndpoint(Record):
    """Where a merchant (or the platform) wants to hear of its invoices."""

    merchant = models.ForeignKey("merchants.Merchant", models.PROTECT, null=True, blank=True, related_name="endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all of them.")
    sealed_secrets = models.TextField(blank=True, editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True)
    history = HistoricalRecords(excluded_fields=["sealed_secrets"])

    def __str__(self) -> str:
        return self.url
