"""Addresses that receive our events, and the secrets that sign them."""

import json
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import models, transaction
from simple_history.models import HistoricalRecords

from config.base import clock, crypto, webhook_secrets
from config.base.records import Record


class EndpointSecret(NamedTuple):
    label: str
    value: str  # "whsec_…"
    expires_at: datetime | None  # None: not yet replaced

    @property
    def is_live(self) -> bool:
        return self.expires_at is None or clock.now() < self.expires_at

    def expiring(self, at: datetime) -> "EndpointSecret":
        return self._replace(expires_at=min(self.expires_at or at, at))


class WebhookEndpoint(Record):
    """An address to which a merchant, or the platform, wants its invoices' events sent."""

    merchant = models.ForeignKey("merchants.Merchant", models.PROTECT, null=True, blank=True, related_name="endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all types.")
    encrypted_secrets = models.TextField(blank=True, editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)  # the first failure after a success
    held_until = models.DateTimeField(null=True, blank=True, editable=False)  # by its Retry-After, or while it fails
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
    def aad(self) -> str:
        return f"webhooks.webhookendpoint:{self.pk}:secrets"

    @property
    def secrets(self) -> list[EndpointSecret]:
        """Decrypted, newest first. Raises crypto.DecryptionFailed."""
        secrets = json.loads(crypto.decrypt(self.encrypted_secrets, self.aad)) if self.encrypted_secrets else []
        return [EndpointSecret(label, value, end and datetime.fromisoformat(end)) for label, value, end in secrets]

    def live_secrets(self) -> list[EndpointSecret]:
        """The secrets that deliveries are signed with now."""
        return [secret for secret in self.secrets if secret.is_live]

    def readable_secrets(self) -> list[EndpointSecret]:
        """As live_secrets, but empty if they cannot be decrypted: those cannot be used any more."""
        try:
            return self.live_secrets()
        except crypto.DecryptionFailed:
            return []

    def add_secret(self, label: str, expires_at: datetime | None = None, *, value: str = "") -> str:
        """Add a generated or given secret and return it: it is shown only this once.

        Raises ValueError, which never quotes the secret, if the label is taken or the value is not a secret.
        """
        return self._add(EndpointSecret(label, value or webhook_secrets.make(), expires_at))

    def rotate_secret(self, label: str, grace: timedelta, *, value: str = "") -> str:
        """As add_secret; the other secrets expire after `grace`. Until then deliveries carry all signatures."""
        return self._add(
            EndpointSecret(label, value or webhook_secrets.make(), None), others_expire=clock.now() + grace
        )

    def check_label(self, label: str) -> None:
        """Raises ValueError if a new secret cannot have this label."""
        if not webhook_secrets.LABEL.fullmatch(label):
            raise ValueError("A label has 1 to 20 letters, digits, dots, dashes or _.")
        if label in [secret.label for secret in self.readable_secrets()]:
            raise ValueError(f'There is already a secret with the label "{label}".')

    def _add(self, new: EndpointSecret, others_expire: datetime | None = None) -> str:
        webhook_secrets.size(new.value)
        with transaction.atomic():
            row = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=self.pk)
            row.check_label(new.label)
            others = row.readable_secrets()  # without expired ones, which are dropped
            if others_expire:
                others = [other.expiring(others_expire) for other in others]
            secrets = [(label, value, end and end.isoformat()) for label, value, end in (new, *others)]
            self.encrypted_secrets = crypto.encrypt(json.dumps(secrets), self.aad)
            self.save(update_fields=["encrypted_secrets", "updated_at"])
        return new.value
