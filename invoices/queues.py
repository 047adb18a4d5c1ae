"""Slices of orders, their queues, and the doorbell.

Rows carry the truth; a bell only says "look". One that is lost costs at most a sweep, so ringing never fails a
request and never waits for long.
"""

import threading
import time

import redis
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.stdlib import get_logger

log = get_logger(__name__)

ERRANDS = "invoice-errands"  # files, last looks, probes: HTTP that may take its time and holds up no sweep
DELIVERIES = "webhook-deliveries"
PENDING_SECONDS = 5  # a bell that nobody answered in this time may be rung again
WAIT_SECONDS = 0.2  # the longest that a caller waits for Redis
PAUSE_SECONDS = 2  # after a failure, until Redis is tried again

_silent_until = 0.0  # on the monotonic clock of this process


def partition_of(order_id: str, partitions: int | None = None) -> int:
    """The slice that an order belongs to: Java's string hash over UTF-16 units, as the platform computes it."""
    h = 0
    units = order_id.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        h = (31 * h + (high << 8 | low)) & 0xFFFFFFFF
    signed = h - (1 << 32) if h & 0x80000000 else h
    return abs(signed) % (partitions or settings.PARTITIONS)


def issuance_queue(partition: int) -> str:
    return f"invoice-issuance-{partition}"


def expiry_queue(partition: int) -> str:
    return f"claim-expiry-{partition}"


def ring(partition: int, *, regardless: bool = False) -> None:
    """Wake a worker of a partition, unless a bell is already waiting (`regardless` does not look).

    Redis trouble is logged and then left alone for a while: the sweep rings too.
    """
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        if regardless or _wires.redis.set(_pending(partition), "1", nx=True, ex=PENDING_SECONDS):
            _publish(partition)
    except (redis.RedisError, OperationalError, OSError) as error:
        _silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("[doorbellSilent] the sweep will ring", partition=partition, error=type(error).__name__)


def answer(partition: int) -> None:
    """Whoever takes up a bell clears it before looking, so that a later one is heard."""
    try:
        _wires.redis.delete(_pending(partition))
    except redis.RedisError as error:
        log.warning("[doorbellNotCleared]", partition=partition, error=type(error).__name__)


def _publish(partition: int) -> None:
    from config.celery import app

    app.send_task(
        "invoices.issue_due",
        args=[partition],
        queue=issuance_queue(partition),
        producer=_wires.producer,
        retry=False,
        expires=60,
    )


class _Wires(threading.local):
    """Each thread's own connections, so that no caller waits for another's."""

    def __init__(self) -> None:
        patience = {"socket_timeout": WAIT_SECONDS, "socket_connect_timeout": WAIT_SECONDS}
        self.redis = redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **patience)
        # Without max_retries kombu goes on connecting for six seconds, whatever the publisher says of retries.
        options = {**patience, "max_retries": 0}
        self.producer = Connection(settings.CELERY_BROKER_URL, transport_options=options).Producer()


_wires = _Wires()


def _pending(partition: int) -> str:
    return f"hoadon:bell:{partition}"
