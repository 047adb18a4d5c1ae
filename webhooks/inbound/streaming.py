"""Events that the platform streams over Kafka instead of posting them: the same bodies, kept and acted on alike."""

from collections.abc import Sequence

from django.db import InterfaceError, OperationalError
from structlog.stdlib import get_logger

from config.base import tracing
from merchants.sync.messages import Message, Poison
from webhooks.inbound.receiving import Malformed, Reused, receive

log = get_logger(__name__)


def take(messages: Sequence[Message]) -> list[Poison]:
    """Each in a transaction of its own: an order's lock must not wait for the next order's. Returns the poison.

    What does not add up is no poison: it is kept as a refused event, as if it had been posted.
    """
    poison = []
    for message in messages:
        if message.value is None:
            continue  # a tombstone
        try:
            with tracing.within(message.traceparent, request=message.source):
                receive("internal", message.source, message.value, "kafka")
        except (OperationalError, InterfaceError):
            raise
        except (Malformed, Reused) as error:
            poison.append(Poison(message, str(error)))
        except Exception as error:  # noqa: BLE001  (its traceback could quote the data)
            log.error("[handlePaymentSuccess]", source=message.source, error=type(error).__name__)
            poison.append(Poison(message, type(error).__name__))
    return poison
