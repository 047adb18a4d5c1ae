"""Partitions of orders, their queues, and the wake-up messages of their workers.

The due rows are in PostgreSQL; a wake-up only makes a worker look. A lost one costs at most one sweep interval, so
`wake` never fails a request and never waits long.
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

BACKGROUND = "invoice-background"  # files, final look-ups, probes: slow HTTP, kept apart from the sweep
DELIVERIES = "webhook-deliveries"
PENDING_SECONDS = 5  # after this time an unanswered wake-up may be sent again
WAIT_SECONDS = 0.2  # the longest a caller waits for Redis
PAUSE_SECONDS = 2  # between a failure and the next attempt

_paused_until = 0.0  # on the monotonic clock of this process


def partition_of(order_id: str, partitions: int | None = None) -> int:
    """An order's partition: Java's string hash over UTF-16 code units, as the platform computes it."""
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


def wake(partition: int, *, force: bool = False) -> None:
    """Send a partition's workers a wake-up, unless one is pending (`force` sends it anyway).

    If Redis fails, this logs it and does nothing for PAUSE_SECONDS: the sweep sends wake-ups too.
    """
    global _paused_until
    if time.monotonic() < _paused_until:
        return
    try:
        if force or _connections.redis.set(_pending_key(partition), "1", nx=True, ex=PENDING_SECONDS):
            _publish(partition)
    except (redis.RedisError, OperationalError, OSError) as error:
        _paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("[wakeupFailed] the sweep will send it", partition=partition, error=type(error).__name__)


def clear_wakeup(partition: int) -> None:
    """Mark the wake-up as received. Call it before looking for work, so that a later wake-up is sent."""
    try:
        _connections.redis.delete(_pending_key(partition))
    except redis.RedisError as error:
        log.warning("[wakeupNotCleared]", partition=partition, error=type(error).__name__)


def _publish(partition: int) -> None:
    from config.celery import app

    app.send_task(
        "invoices.issue_due",
        args=[partition],
        queue=issuance_queue(partition),
        producer=_connections.producer,
        retry=False,
        expires=60,
    )


class _Connections(threading.local):
    """Connections of one thread, so that no thread waits for another."""

    def __init__(self) -> None:
        timeouts = {"socket_timeout": WAIT_SECONDS, "socket_connect_timeout": WAIT_SECONDS}
        self.redis = redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **timeouts)
        # Without max_retries kombu keeps connecting for six seconds, although the publisher has retry=False.
        options = {**timeouts, "max_retries": 0}
        self.producer = Connection(settings.CELERY_BROKER_URL, transport_options=options).Producer()


_connections = _Connections()


def _pending_key(partition: int) -> str:
    return f"hoadon:wakeup:{partition}"
