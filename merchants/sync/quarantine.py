"""Messages from Kafka, and where those go that nobody can act on. The messages behind them do not wait."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from config.base import clock
from merchants.models import Quarantine


class Message(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    traceparent: str = ""  # W3C, of whoever wrote the message

    @property
    def source(self) -> str:
        """The message's name: the history's reason, the event's id."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class Poison(NamedTuple):
    message: Message
    error: str  # it is shown: no data in it


Reader = Callable[[Sequence[Message]], list[Poison]]


def reader_of(topic: str) -> Reader:
    """What acts on a topic's messages, keeps that in the database, and returns what it could not act on.

    Raises KeyError for a topic that nobody reads (any more).
    """
    return import_string(settings.KAFKA_READERS[topic])


def keep(poisons: Iterable[Poison]) -> None:
    """Put messages away; one that is there already stays as it is."""
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
    """Act on a quarantined message once more. Returns what is still wrong with it, or nothing.

    One that was replayed stays as it is. Raises Quarantine.DoesNotExist.
    """
    with transaction.atomic():
        row = Quarantine.objects.select_for_update(no_key=True).get(pk=pk)
        if row.replayed_at:
            return ""
        key, value = (None if raw is None else bytes(raw) for raw in (row.key, row.value))
        message = Message(row.topic, row.partition, row.offset, key, value)
        if row.topic not in settings.KAFKA_READERS:
            row.error = "Nobody reads this topic any more."
        elif poison := reader_of(row.topic)([message]):
            row.error = poison[0].error[:400]
        else:
            row.replayed_at = clock.now()
        row.save(update_fields=["error", "replayed_at", "updated_at"])
    return "" if row.replayed_at else row.error
