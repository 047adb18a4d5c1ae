"""The encrypted columns, and their rotation to the current key. A new encrypted column is one line in the list here.

A row with an encrypted column has an attribute `aad`, which binds its envelopes to it (see crypto).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models, transaction

from config.base import crypto


class EncryptedColumn(NamedTuple):
    model: str
    field: str
    only: dict[str, Any] = {}  # filter for the rows whose value is an envelope; the others hold plain text

    @property
    def rows(self) -> models.QuerySet[Any]:
        """Every row with an envelope, deleted rows too: their secrets are still secret."""
        return apps.get_model(self.model)._base_manager.filter(**self.only).exclude(**{self.field: ""})

    @property
    def stale(self) -> models.QuerySet[Any]:
        """The rows whose envelope was made with an older key."""
        return self.rows.exclude(**{f"{self.field}__startswith": crypto.current_prefix()})


ENCRYPTED_COLUMNS = [
    EncryptedColumn("config.Configuration", "value", {"is_secret": True}),
    EncryptedColumn("merchants.ProviderAccount", "encrypted_credentials"),
    EncryptedColumn("webhooks.WebhookEndpoint", "encrypted_secrets"),
]


class RotationStep(NamedTuple):
    """The result of one step: the number of rows rotated, and the names of those that cannot be decrypted."""

    done: int
    lost: list[str]


def rotate(column: EncryptedColumn, *, step: int, dry_run: bool = False) -> Iterator[RotationStep]:
    """Encrypt stale rows with the current key, `step` rows per transaction. It can be interrupted and restarted.

    Only the envelope is written. The history and `updated_at` stay, because no secret has changed.
    """
    last = -(2**63)
    while True:
        with transaction.atomic():
            stale = column.stale.filter(pk__gt=last).order_by("pk")
            rows = list(stale.select_for_update(no_key=True)[:step])
            if not rows:
                return
            last = rows[-1].pk
            rotated, lost = [], []
            for row in rows:
                try:
                    plain = crypto.decrypt(getattr(row, column.field), row.aad)
                except crypto.DecryptionFailed:
                    lost.append(f"{column.model}:{row.pk}")
                    continue
                setattr(row, column.field, crypto.encrypt(plain, row.aad))
                rotated.append(row)
            if not dry_run:
                column.rows.bulk_update(rotated, [column.field])
        yield RotationStep(len(rotated), lost)
