"""Presence: what can be said of a device at an instant, from what arrived and when (DESIGN §4).

Pure functions of data; `muster.watch` keeps the devices of one gateway by them.

Evidence wins over silence: a device whose transport session has just ended stays `connected` until its last
Good value is older than its window, because that value was, at that instant, fresh. And silence speaks once
it has lasted: a device that was watched for a whole window without a sign is no longer "not yet observed".
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from muster.clock import SECOND_US
from muster.scans import How, Scans

NEVER = -(2**62)
"""A time before every other, in µs."""


class State(IntEnum):
    """Presence states in the order of what is known of the device."""

    UNOBSERVED = 0
    OFFLINE = 1
    LINKED = 2
    RESPONDING = 3
    CONNECTED = 4

    @property
    def word(self) -> str:
        """The state's name in the API, the database and the catalogue."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Definition:
    """The versioned definition of freshness that a claim names.

    factor: window = factor × expected interval, within [least_s, cap_s] (seconds).
    lease_s: a gateway not heard from for this long has stopped watching.
    """

    version: str = "presence-1"
    factor: float = 3.0
    least_s: float = 10.0
    cap_s: float = 3600.0
    lease_s: float = 10.0

    def window_us(self, interval_s: float) -> int:
        """Return the freshness window in µs of a device with this expected interval in seconds."""
        return round(min(max(self.factor * interval_s, self.least_s), self.cap_s) * SECOND_US)


@dataclass(frozen=True, slots=True)
class Transition:
    """From `at` (µs) on, `device` is in `state`, for `reason` (a catalogue key)."""

    device: int
    at: int
    state: State
    reason: str


_SOLICITED, _UNSOLICITED = int(How.SOLICITED), int(How.UNSOLICITED)


def fresh(
    scans: Scans, window_us: NDArray[np.int64], clock_offset_us: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which scans hold a Good value that was fresh when it was received.

    window_us, clock_offset_us: (n,) int64, of each scan's device; the offset is the session's measured
    source clock less ours. Returns (n,) bool.

    A solicited answer's source time is not tested: a value that has not changed keeps an old one. A
    notification's is, corrected by the offset. History is never fresh.
    """
    solicited = scans.how == _SOLICITED
    if solicited.all():
        return scans.good()
    age = scans.received - (scans.time - clock_offset_us)
    in_time = solicited | ((scans.how == _UNSOLICITED) & (age <= window_us))
    is_fresh: NDArray[np.bool_] = in_time & scans.good()
    return is_fresh
