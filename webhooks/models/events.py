"""Incoming events."""

from typing import Any

from django.db import models

from config.base.records import Record
from config.base.tracing import trace_id


class WebhookEvent(Record):
    """One verified body, stored unchanged, with its result and our response."""

    class Route(models.TextChoices):
        INTERNAL = "internal"
        MERCHANT = "merchant"

    class Status(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"  # the data does not add up: an operator must see it, because the sale was paid
        FAILED = "failed"  # internal error: the sweep applies it again
        CLOSED = "closed"  # refused; an operator decided that no action is needed

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
    order_id = models.CharField(max_length=64, blank=True)
    merchant_code = models.CharField(max_length=64, blank=True)  # two merchants may use the same order id
    tries = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)  # when the sweep applies a failed event again
    trace = models.UUIDField(null=True, editable=False, default=trace_id)  # of the request that delivered it

    class Meta:
        permissions = [
            ("replay_webhookevent", "Can apply webhook events again"),
            ("close_webhookevent", "Can close refused webhook events"),
        ]
        constraints = [models.UniqueConstraint(fields=["route", "webhook_id"], name="one_event_an_id")]
        indexes = [
            models.Index(fields=["not_before"], condition=models.Q(status="failed"), name="events_to_retry"),
            models.Index(
                fields=["status", "type", "id"], condition=~models.Q(status="done"), name="events_not_applied"
            ),
            # Serves = and LIKE 'begin%' of the order, under any collation.
            models.Index(
                fields=["order_id", "merchant_code"], opclasses=["varchar_pattern_ops"] * 2, name="events_of_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.status}"

    @property
    def about(self) -> dict[str, Any]:
        """Its fields in log lines."""
        return {"webhook": self.pk, "type": self.type, "order": self.order_id}
