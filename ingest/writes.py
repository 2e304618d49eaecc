"""Everything one transaction stores, collected before it is written."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.intake import Accepted, Message
from muster.clock import SECOND_US
from muster.events import Event
from muster.presence import Transition
from muster.scans import Scans

MINUTE_US = 60 * SECOND_US
RECENT_US = 2 * MINUTE_US
FEW = 8
"""Devices of one past minute that are marked one by one; more of them mark their whole partition."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch with its number in the database."""

    id: int
    accepted: Accepted


@dataclass(slots=True)
class WatchRow:
    """A row of `watch`; times in µs. `stored`: it was committed by an earlier transaction."""

    id: int
    span: int
    gateway: int
    enterprise: int | None
    epoch: int
    valid_from: int
    valid_to: int
    recorded_to: int
    live: bool
    ended: bool = False
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """A row of `gap`; no device: all of the gateway's in this partition."""

    enterprise: int | None
    gateway: int
    device: int | None
    from_us: int
    to_us: int
    reason: str
    polls: int | None
    detail: dict[str, Any]


@dataclass(slots=True)
class Session:
    """A row of `session`."""

    enterprise: int
    device: int
    gateway: int
    epoch: int
    opened_us: int
    closed_us: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of sessions stored earlier: a device's, or with device 0 those before `before_epoch`."""

    gateway: int
    device: int
    closed_us: int
    reason: str
    before_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A row of `identity`."""

    enterprise: int
    gateway: int
    event: Event
    digest: bytes


@dataclass(frozen=True, slots=True)
class ClockRow:
    """A row of `device_clock`."""

    enterprise: int
    gateway: int
    event: Event


@dataclass(frozen=True, slots=True)
class Presence:
    """A row of `presence`."""

    enterprise: int
    gateway: int
    span: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class Memory:
    """A row of `presence_memory`."""

    gateway: int
    stream_sequence: int
    epoch: int
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row of `quarantine`."""

    enterprise: int | None
    gateway: int | None
    message: Message
    reason: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeviceMinutes:
    """A row of `device_minutes`: when the minute began (µs), its batches in their order, (n,) records by device."""

    minute_us: int
    batches: list[int]
    records: NDArray[np.void]


@dataclass(slots=True)
class Writes:
    """What one transaction stores of one partition; `recorded_us` is the instant of recording in µs."""

    recorded_us: int
    batches: list[Stored] = field(default_factory=list)
    watches: dict[int, WatchRow] = field(default_factory=dict)
    presence: list[Presence] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    session_ends: list[SessionEnd] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    clocks: list[ClockRow] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    minutes: list[DeviceMinutes] = field(default_factory=list)
    opened: dict[tuple[int, int], Session] = field(default_factory=dict)
    """By gateway and device: those of `sessions` that have not ended."""
    positions: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """By gateway: epoch, sequence, watched_until (µs) of its last batch."""
    _scans: Scans | None = None

    @property
    def scans(self) -> Scans:
        """The scans of all batches, in their order; to be asked for when no batch is added any more."""
        if self._scans is None:
            self._scans = Scans.concatenate([stored.accepted.batch.scans for stored in self.batches])
        return self._scans


def due_minutes(
    time: NDArray[np.int64], device: NDArray[np.int32], now_us: int
) -> tuple[list[int], list[int]]:
    """Return what to roll up again after scans of these source times ((n,) µs) and devices ((n,)) came.

    Gives minutes (µs) and, for each, a device or 0 for the whole partition.
    """
    if not len(time):
        return [], []
    minute = time // MINUTE_US
    recent = (minute > (now_us - RECENT_US) // MINUTE_US) & (minute <= (now_us + MINUTE_US) // MINUTE_US)
    starts = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    minutes: list[int] = np.unique(minute[starts][recent[starts]]).tolist()
    devices = [0] * len(minutes)
    if not recent.all():
        late = _late(minute[~recent], device[~recent])
        minutes += [number for number, _ in late]
        devices += [few for _, few in late]
    return [number * MINUTE_US for number in minutes], devices


def _late(minute: NDArray[np.int64], device: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return the minutes of scans that came late, each with a device or with 0, and many devices not even sorted."""
    starts = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    runs = zip(minute[starts].tolist(), starts.tolist(), [*starts[1:].tolist(), len(minute)], strict=True)
    whole = {
        number
        for number, begin, end in runs
        if end - begin > FEW and len(set(device[begin : min(end, begin + 4 * FEW)].tolist())) > FEW
    }
    rest = ~np.isin(minute, list(whole))
    late, which = np.unique(minute[rest], return_inverse=True)
    pairs = np.unique((which.astype(np.int64) << 32) | device[rest])
    few: dict[int, list[int]] = {}
    for number, one in zip(late[pairs >> 32].tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
        few.setdefault(number, []).append(one)
    marks = [(number, 0) for number in sorted(whole)]
    for number, of in few.items():
        marks += [(number, one) for one in (of if len(of) <= FEW else [0])]
    return marks
