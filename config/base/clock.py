"""The only clock. Business time is read here and passed into SQL as a parameter."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

# HOADON_CLOCK is a number of seconds added to the machine's clock, so that every process of a demo agrees.
_shift = timedelta(seconds=float(os.environ.get("HOADON_CLOCK") or 0))
_frozen: datetime | None = None


def now() -> datetime:
    """The current instant, in UTC."""
    return _frozen or datetime.now(UTC) + _shift


def today_vn() -> date:
    """The calendar day in Việt Nam, which is the day that the law speaks of."""
    return day_vn(now())


def day_vn(instant: datetime) -> date:
    return instant.astimezone(VIETNAM).date()


def at_vn(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """That hour of that day in Việt Nam; `hour=24` is the midnight that ends it."""
    midnight = datetime.combine(day, time(), VIETNAM)
    return (midnight + timedelta(hours=hour, minutes=minute)).astimezone(UTC)


def shift_to(hour: int, day: date | None = None) -> float:
    """The HOADON_CLOCK under which it is now `hour`:00 of that day in Việt Nam, or of today."""
    return (at_vn(day or day_vn(datetime.now(UTC)), hour) - datetime.now(UTC)).total_seconds()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold the clock of this process at one instant (tests and simulations)."""
    global _frozen
    before, _frozen = _frozen, at
    try:
        yield
    finally:
        _frozen = before


def start_at(hour: int, day: date | None = None) -> None:
    """Move the clock of this process and of its children to `hour`:00 of that day or of today, once."""
    global _shift
    if not os.environ.get("HOADON_CLOCK"):
        os.environ["HOADON_CLOCK"] = str(shift_to(hour, day))
        _shift = timedelta(seconds=float(os.environ["HOADON_CLOCK"]))
