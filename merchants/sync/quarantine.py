"""Store Kafka messages that cannot be applied, and apply them later. Messages behind them do not wait."""

from collections.abc import Iterable

from django.db import transaction

from config.base import clock
from merchants.models import Quarantine
from merchants.sync.messages import Message, Poison, readers


def store(poisons: Iterable[Poison]) -> None:
    """Store poison messages. Those that are stored already stay unchanged."""
    Quarantine.objects.bulk_create(
        [
            Quarantine(
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                key=message.key,
                value=message.value,
                error=error[:400],
            )
            for message, error in poisons
        ],
        ignore_conflicts=True,
    )


def replay(pk: int) -> str:
    """Apply a quarantined message again. Returns the error, or "" if it was applied.

    A message that was applied before stays unchanged. Raises Quarantine.DoesNotExist.
    """
    with transaction.atomic():
        row = Quarantine.objects.select_for_update(no_key=True).get(pk=pk)
        if row.replayed_at:
            return ""
        key, value = (None if raw is None else bytes(raw) for raw in (row.key, row.value))
        message = Message(row.topic, row.partition, row.offset, key, value)
        reader = readers().get(row.topic)
        if reader is None:
            row.error = "No app reads this topic any more."
        elif poison := reader([message]):
            row.error = poison[0].error[:400]
        else:
            row.replayed_at = clock.now()
        row.save(update_fields=["error", "replayed_at", "updated_at"])
    return "" if row.replayed_at else row.error
