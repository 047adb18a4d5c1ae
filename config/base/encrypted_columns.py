"""Which columns are sealed, and how they come under the current key. A new sealed column is one line here.

A row with sealed columns has a `place`, which binds its envelopes to it (see crypto).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models, transaction

from config.base import crypto


class Sealed(NamedTuple):
    model: str
    field: str
    only: dict[str, Any] = {}  # which rows hold an envelope there; the others hold plain text

    @property
    def rows(self) -> models.QuerySet[Any]:
        """Every row with an envelope, deleted ones too: a secret that was hidden still is one."""
        return apps.get_model(self.model)._base_manager.filter(**self.only).exclude(**{self.field: ""})

    @property
    def stale(self) -> models.QuerySet[Any]:
        """The rows whose envelope is not under the current key."""
        return self.rows.exclude(**{f"{self.field}__startswith": crypto.current()})


SEALED = [
    Sealed("config.Configuration", "value", {"is_secret": True}),
    Sealed("merchants.ProviderAccount", "sealed_credentials"),
    Sealed("webhooks.WebhookEndpoint", "sealed_secrets"),
]


class Rotated(NamedTuple):
    """What one step did: rows that are under the current key now, and the names of those that do not open."""

    done: int
    lost: list[str]


def rotate(sealed: Sealed, *, step: int, dry_run: bool = False) -> Iterator[Rotated]:
    """Seal stale rows anew, `step` rows a transaction; whoever starts again goes on where it ended.

    Only the envelope is written: neither the history nor `updated_at` has anything to tell, for no secret changed.
    """
    last = -(2**63)
    while True:
        with transaction.atomic():
            stale = sealed.stale.filter(pk__gt=last).order_by("pk")
            rows = list(stale.select_for_update(no_key=True)[:step])
            if not rows:
                return
            last = rows[-1].pk
            opened, lost = [], []
            for row in rows:
                try:
                    plain = crypto.unseal(getattr(row, sealed.field), row.place)
                except crypto.CannotOpen:
                    lost.append(f"{sealed.model}:{row.pk}")
                    continue
                setattr(row, sealed.field, crypto.seal(plain, row.place))
                opened.append(row)
            if not dry_run:
                sealed.rows.bulk_update(opened, [sealed.field])
        yield Rotated(len(opened), lost)
