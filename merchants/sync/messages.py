"""Messages from Kafka, and the functions that apply them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from config.base.discovery import app_parts


class Message(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    traceparent: str = ""  # W3C, from the sender

    @property
    def source(self) -> str:
        """Names the message, in histories as the reason and as the id of an event."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class Poison(NamedTuple):
    message: Message
    error: str  # is shown, so it quotes no data


Reader = Callable[[Sequence[Message]], list[Poison]]


def readers() -> dict[str, Reader]:
    """By topic, the function that applies its messages and returns those that it cannot apply.

    Each app offers its own in `streams.py`. Topics that are not configured are omitted.
    """
    offers = [streams() for streams in app_parts("streams", "streams")]
    return {topic: reader for offer in offers for topic, reader in offer.items() if topic}
