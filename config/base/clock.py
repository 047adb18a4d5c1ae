"""The only clock. Business time comes from here and is passed to SQL as a parameter."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")

# HOADON_CLOCK: seconds added to the machine's clock, the same in every process of a demo.
_shift = timedelta(seconds=float(os.environ.get("HOADON_CLOCK") or 0))
_frozen: datetime | None = None


def now() -> datetime:
    """The current instant, in UTC."""
    return _frozen or datetime.now(UTC) + _shift


def today_vn() -> date:
    """Today in Việt Nam, the legal calendar day."""
    return day_vn(now())


def day_vn(instant: datetime) -> date:
    return instant.astimezone(VIETNAM).date()


def at_vn(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """The instant of an hour of a day in Việt Nam; `hour=24` is the midnight at its end."""
    midnight = datetime.combine(day, time(), VIETNAM)
    return (midnight + timedelta(hours=hour, minutes=minute)).astimezone(UTC)


def shift_to(hour: int, day: date | None = None) -> float:
    """The HOADON_CLOCK that makes it `hour`:00 now, on that day in Việt Nam or today."""
    return (at_vn(day or day_vn(datetime.now(UTC)), hour) - datetime.now(UTC)).total_seconds()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Stop the clock of this process at one instant (tests and simulations)."""
    global _frozen
    before, _frozen = _frozen, at
    try:
        yield
    finally:
        _frozen = before


def start_at(hour: int, day: date | None = None) -> None:
    """Move the clock of this process and its children to `hour`:00 of that day or today, unless it was moved before."""
    global _shift
    if not os.environ.get("HOADON_CLOCK"):
        os.environ["HOADON_CLOCK"] = str(shift_to(hour, day))
        _shift = timedelta(seconds=float(os.environ["HOADON_CLOCK"]))
