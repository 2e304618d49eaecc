"""Time as Muster keeps it: integer microseconds since 1970 in UTC inside, aware datetimes at the edges.

Clocks are passed in, so that a test decides what time it is.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000

EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_799_999_999
"""The times that can be kept: the years 1 to 9999, in µs since 1970."""


class Clock(Protocol):
    """A source of wall-clock and monotonic time."""

    def now_us(self) -> int:
        """Return the wall-clock time in µs since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return a time in seconds that never goes backwards, for measuring durations."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to; both its times move together."""

    def __init__(self, now_us: int = 1_700_000_000 * SECOND_US) -> None:
        self._now_us = now_us
        self._monotonic = 0.0

    def now_us(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now_us += round(seconds * SECOND_US)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock by `seconds` without any time passing, as a clock correction does."""
        self._now_us += round(seconds * SECOND_US)


def to_datetime(us: int) -> datetime:
    """Turn µs since 1970 into an aware datetime, exactly."""
    return EPOCH + timedelta(microseconds=us)


def to_us(moment: datetime) -> int:
    """Turn an aware datetime into µs since 1970, exactly.

    Raises:
        ValueError: the datetime has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone has no meaning here")
    return (moment - EPOCH) // timedelta(microseconds=1)
