"""Events that arrive over Kafka instead of by POST: the same bodies, stored and applied in the same way."""

from collections.abc import Sequence

from django.db import InterfaceError, OperationalError
from structlog.stdlib import get_logger

from config.base import tracing
from merchants.sync.messages import Message, Poison
from webhooks.inbound.receiving import IdReused, Malformed, receive_event

log = get_logger(__name__)


def apply_batch(messages: Sequence[Message]) -> list[Poison]:
    """Apply each message in its own transaction, so that no order's lock is held for another order.

    Returns the poison messages. Data that does not add up is not poison: it is stored as a refused event, as by POST.
    """
    poison = []
    for message in messages:
        if message.value is None:
            continue  # a tombstone
        try:
            with tracing.new_trace(message.traceparent, request=message.source):
                receive_event("internal", message.source, message.value, "kafka")
        except (OperationalError, InterfaceError):
            raise
        except (Malformed, IdReused) as error:
            poison.append(Poison(message, str(error)))
        except Exception as error:  # noqa: BLE001  (its traceback could quote the data)
            log.error("[handlePaymentSuccess]", source=message.source, error=type(error).__name__)
            poison.append(Poison(message, type(error).__name__))
    return poison
