"""Messages from Kafka, and which function applies those of a topic."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from config.base.discovery import offered


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


def readers() -> dict[str, Reader]:
    """By topic: what applies its messages and returns those that it could not apply.

    Each app names its own in its `streams.py`. A topic that is not configured is left out.
    """
    named = {topic: reader for streams in offered("streams", "streams") for topic, reader in streams().items()}
    return {topic: reader for topic, reader in named.items() if topic}
