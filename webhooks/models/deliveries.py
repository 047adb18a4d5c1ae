"""Outgoing events."""

from datetime import datetime

from django.db import models

from config.base import clock
from config.base.records import Record
from webhooks.models.endpoints import WebhookEndpoint


class WebhookDelivery(Record):
    """One event for one endpoint, written in the transaction of the move that caused it, and sent unchanged."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"  # all retries failed: an operator may replay it

    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, related_name="deliveries", db_index=False)
    event_id = models.CharField(max_length=60)  # `webhook-id`: the same for every endpoint and every attempt
    type = models.CharField(max_length=40)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, null=True, blank=True, related_name="deliveries")
    seq = models.PositiveIntegerField(default=0)  # orders the events of one invoice
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    not_before = models.DateTimeField(default=clock.now)  # when it is due; while taken, when its lease ends
    taken_at = models.DateTimeField(null=True, blank=True)  # by a worker; empty: not taken
    attempts = models.PositiveSmallIntegerField(default=0)  # since it was written or last replayed
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)  # of HTTP; empty: no response
    last_error = models.CharField(max_length=200, blank=True)  # our own text, never the receiver's
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        permissions = [("replay_webhookdelivery", "Can send webhook deliveries again")]
        constraints = [models.UniqueConstraint(fields=["endpoint", "event_id"], name="one_delivery_an_event")]
        indexes = [
            models.Index(fields=["endpoint", "not_before"], condition=models.Q(state="pending"), name="deliveries_due"),
            models.Index(
                fields=["endpoint", "invoice", "seq"], condition=models.Q(state="pending"), name="earlier_deliveries"
            ),
            models.Index(
                fields=["endpoint"],
                condition=models.Q(state="pending", taken_at__isnull=False),
                name="deliveries_in_flight",
            ),
            models.Index(fields=["endpoint", "id"], name="deliveries_by_endpoint"),
            models.Index(fields=["endpoint", "id"], condition=models.Q(state="dead"), name="deliveries_dead"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.state}"

    @property
    def next_attempt_at(self) -> datetime | None:
        return self.not_before if self.state == self.State.PENDING else None
