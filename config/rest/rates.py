"""Rate limits: requests per caller and minute, counted in Redis. Without Redis nothing is limited."""

import hashlib
import time

import redis
from django.conf import settings
from django.core.cache import cache
from structlog.stdlib import get_logger

log = get_logger(__name__)
MINUTE = 60


def seconds_to_wait(kind: str, caller: str) -> int:
    """0 if the caller is within the limit, else the seconds to the next minute. `kind` is a key of settings.RATES."""
    now = time.time()
    key = f"rate:{kind}:{hashlib.sha256(caller.encode()).hexdigest()[:24]}:{int(now // MINUTE)}"
    try:
        cache.add(key, 0, 2 * MINUTE)
        count = cache.incr(key)
    except (redis.RedisError, ValueError):  # ValueError: Redis was flushed between the two calls
        log.warning("[ratesUnavailable]", kind=kind)
        return 0
    return 0 if count <= settings.RATES[kind] else MINUTE - int(now % MINUTE)
