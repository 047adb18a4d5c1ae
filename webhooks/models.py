"""What machines told us, and who wants to be told."""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models, transaction
from simple_history.models import HistoricalRecords

from config.base import clock, crypto, webhook_secrets
from config.base.records import Record
from config.base.tracing import trace_id


class WebhookEvent(Record):
    """One verified body, kept as it came, with what we did and what we answered."""

    class Route(models.TextChoices):
        INTERNAL = "internal"
        MERCHANT = "merchant"

    class Status(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"  # the data does not add up: an operator must see it, for the sale was paid
        FAILED = "failed"  # our fault: the sweep tries again
        CLOSED = "closed"  # refused, and an operator says that nothing is to be done any more

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
    merchant_code = models.CharField(max_length=64, blank=True)  # two merchants may have an order of one name
    tries = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField(null=True, blank=True)  # when the sweep acts again on a failed one
    trace = models.UUIDField(null=True, editable=False, default=trace_id)  # of the request that brought it

    class Meta:
        permissions = [
            ("replay_webhookevent", "Can act again on webhook events"),
            ("close_webhookevent", "Can close refused webhook events"),
        ]
        constraints = [models.UniqueConstraint(fields=["route", "webhook_id"], name="one_event_an_id")]
        indexes = [
            models.Index(fields=["not_before"], condition=models.Q(status="failed"), name="events_to_act_again"),
            models.Index(fields=["status", "type", "id"], condition=~models.Q(status="done"), name="events_not_acted"),
            # Serves = and LIKE 'begin%' of the order, under any collation.
            models.Index(
                fields=["order_id", "merchant_code"], opclasses=["varchar_pattern_ops"] * 2, name="events_of_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.status}"

    @property
    def about(self) -> dict[str, Any]:
        """What a line of the log says of it."""
        return {"webhook": self.pk, "type": self.type, "order": self.order_id}


class EndpointSecret(NamedTuple):
    label: str
    value: str  # "whsec_…"
    expires_at: datetime | None  # None: not yet replaced

    @property
    def is_live(self) -> bool:
        return self.expires_at is None or clock.now() < self.expires_at

    def ending(self, at: datetime) -> "EndpointSecret":
        return self._replace(expires_at=min(self.expires_at or at, at))


class WebhookEndpoint(Record):
    """Where a merchant (or the platform) wants to hear of its invoices."""

    merchant = models.ForeignKey("merchants.Merchant", models.PROTECT, null=True, blank=True, related_name="endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all of them.")
    encrypted_secrets = models.TextField(blank=True, editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)  # the first failure after a success
    held_until = models.DateTimeField(null=True, blank=True, editable=False)  # it asked us to wait: Retry-After
    history = HistoricalRecords(excluded_fields=["encrypted_secrets", "failing_since", "held_until"])
    seed_only = True  # see loaddata

    class Meta:
        permissions = [("remove_webhookendpoint", "Can remove webhook endpoints")]
        indexes = [
            models.Index(fields=["id"], condition=~models.Q(disabled_reason=""), name="endpoints_disabled"),
            models.Index(
                fields=["failing_since"], condition=models.Q(failing_since__isnull=False), name="endpoints_failing"
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def is_on(self) -> bool:
        return not (self.disabled_reason or self.deleted_at)

    @property
    def place(self) -> str:
        return f"webhooks.webhookendpoint:{self.pk}:secrets"

    @property
    def secrets(self) -> list[EndpointSecret]:
        """In clear, the newest first. Raises crypto.CannotOpen."""
        kept = json.loads(crypto.unseal(self.encrypted_secrets, self.place)) if self.encrypted_secrets else []
        return [EndpointSecret(label, value, end and datetime.fromisoformat(end)) for label, value, end in kept]

    def live_secrets(self) -> list[EndpointSecret]:
        """What a delivery is signed with now."""
        return [secret for secret in self.secrets if secret.is_live]

    def known_secrets(self) -> list[EndpointSecret]:
        """As live_secrets, and none where they open with no key of ours: nobody can sign with those any more."""
        try:
            return self.live_secrets()
        except crypto.CannotOpen:
            return []

    def add_secret(self, label: str, expires_at: datetime | None = None, *, value: str = "") -> str:
        """Keep one more secret, made here or given, and return it: it is shown this once.

        Raises ValueError, which never quotes it, where the label is taken or the given value is no secret.
        """
        return self._add(EndpointSecret(label, value or webhook_secrets.make(), expires_at))

    def rotate_secret(self, label: str, grace: timedelta, *, value: str = "") -> str:
        """As add_secret; the ones before it end after `grace`, in which deliveries carry both signatures."""
        return self._add(EndpointSecret(label, value or webhook_secrets.make(), None), others_end=clock.now() + grace)

    def check_label(self, label: str) -> None:
        """Raises ValueError where a new secret could not have this label."""
        if not webhook_secrets.LABEL.fullmatch(label):
            raise ValueError("A label has 1 to 20 letters, digits, dots, dashes or _.")
        if label in [secret.label for secret in self.known_secrets()]:
            raise ValueError(f'There is a secret with the label "{label}".')

    def _add(self, new: EndpointSecret, others_end: datetime | None = None) -> str:
        webhook_secrets.size(new.value)
        with transaction.atomic():
            row = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=self.pk)
            row.check_label(new.label)
            others = row.known_secrets()  # what has ended goes for good
            if others_end:
                others = [other.ending(others_end) for other in others]
            kept = [(label, value, end and end.isoformat()) for label, value, end in (new, *others)]
            self.encrypted_secrets = crypto.seal(json.dumps(kept), self.place)
            self.save(update_fields=["encrypted_secrets", "updated_at"])
        return new.value


class WebhookDelivery(Record):
    """One event for one endpoint: written with the move that caused it, kept as it will be sent."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        DEAD = "dead"  # every retry was used: an operator may replay it

    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, related_name="deliveries", db_index=False)
    event_id = models.CharField(max_length=60)  # `webhook-id`: the same for every endpoint and every try
    type = models.CharField(max_length=40)
    invoice = models.ForeignKey("invoices.Invoice", models.PROTECT, null=True, blank=True, related_name="deliveries")
    seq = models.PositiveIntegerField(default=0)  # the order of one invoice's events
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    not_before = models.DateTimeField(default=clock.now)  # when it is due; while a worker has it, when that is given up
    taken_at = models.DateTimeField(null=True, blank=True)  # a worker has it
    attempts = models.PositiveSmallIntegerField(default=0)  # of the current budget
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)  # of HTTP; empty: nobody answered
    last_error = models.CharField(max_length=200, blank=True)  # our words, never the answer's
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
