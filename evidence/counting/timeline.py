"""The count over time: a step function made from stretches, and what is read from it. Pure, numpy.

A stretch is a half-open interval of one device in which nothing that matters to the count changed. Times are
µs since 1970, int64.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from muster.clock import to_us

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Columns of n stretches: device (n,) int32; start, end (n,) µs; the others (n,) bool.

    frame: it says that the device belonged to the frame; the other stretches lie within such. observed:
    somebody watched and could say its state. official, rehearsal: it was counted in that scope.
    """

    device: NDArray[np.int32]
    start: Times
    end: Times
    frame: NDArray[np.bool_]
    observed: NDArray[np.bool_]
    official: NDArray[np.bool_]
    rehearsal: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.device)

    def counted(self, scope: str) -> NDArray[np.bool_]:
        """Return which stretches count in `scope`, (n,) bool."""
        return self.official if scope == "official" else self.rehearsal

    def only(self, devices: Collection[int]) -> "Stretches":
        """Return the stretches of `devices`."""
        kept = np.isin(self.device, list(devices))
        return Stretches(
            self.device[kept],
            self.start[kept],
            self.end[kept],
            self.frame[kept],
            self.observed[kept],
            self.official[kept],
            self.rehearsal[kept],
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """A step function on [start[0], end): value[i] holds from start[i] until start[i + 1] or `end`."""

    start: Times
    value: NDArray[np.int64]
    end: int

    @property
    def lasted(self) -> Times:
        """How long each value held, (n,) µs."""
        return np.diff(self.start, append=self.end)

    def at(self, instants: Times) -> NDArray[np.int64]:
        """Return the value at each instant, which must not be before the first start."""
        return self.value[np.searchsorted(self.start, instants, side="right") - 1]


@dataclass(frozen=True, slots=True)
class Window:
    """What a window says of a count: each value weighted by how long it lasted.

    median, p5: the lowest value that the count was at or below for half, a twentieth, of the window.
    observed_share: mean over the window of the share of the frame whose state somebody could say; an empty
    frame is unobserved.
    """

    minimum: int
    median: int
    p5: int
    observed_share: float


def steps(start: Times, end: Times, frm: int, to: int) -> Steps:
    """Return how many of the intervals [start, end) hold each instant of [frm, to)."""
    begin, until = np.maximum(start, frm), np.minimum(end, to)
    inside = begin < until
    # one sort of plain numbers: the instant, and in the last bit whether an interval begins there or ends
    key = np.concatenate([begin[inside] << 1 | 1, until[inside] << 1])
    key.sort()
    instant, running = key >> 1, np.cumsum((key & 1) * 2 - 1)
    last = np.ones(len(key), np.bool_)
    last[:-1] = instant[1:] != instant[:-1]
    last &= instant < to
    instant, value = instant[last], running[last]
    if len(instant) == 0 or instant[0] > frm:
        instant, value = np.insert(instant, 0, frm), np.insert(value, 0, 0)
    return Steps(instant, value, to)


def quantile(values: NDArray[np.int64], lasted: Times, share: float) -> int:
    """Return the lowest value at or below which the function was for at least `share` of the time."""
    reached = np.cumsum(np.bincount(values, weights=lasted))  # whole numbers of µs below 2^53, so exact
    return int(np.searchsorted(reached, share * reached[-1], side="left"))


def union(one: Times, other: Times) -> Times:
    """Return the instants of both, each once, in order; several times as fast as `np.union1d`."""
    both = np.concatenate([one, other])
    both.sort()
    first = np.ones(len(both), np.bool_)
    first[1:] = both[1:] != both[:-1]
    return both[first]


def window(stretches: Stretches, scope: str, frm: int, to: int) -> Window:
    """Return the statistics of the count in `scope` over [frm, to), which is not empty."""
    counted = stretches.counted(scope)
    count = steps(stretches.start[counted], stretches.end[counted], frm, to)
    return Window(
        int(count.value.min()),
        quantile(count.value, count.lasted, 0.5),
        quantile(count.value, count.lasted, 0.05),
        observed_share(stretches, frm, to),
    )


def observed_share(stretches: Stretches, frm: int, to: int) -> float:
    """Return the mean over [frm, to) of observed devices ÷ devices of the frame."""
    seen = stretches.observed
    frame = steps(stretches.start[stretches.frame], stretches.end[stretches.frame], frm, to)
    observed = steps(stretches.start[seen], stretches.end[seen], frm, to)
    instants = union(frame.start, observed.start)
    size = frame.at(instants)
    share = np.divide(observed.at(instants), size, out=np.zeros(len(instants), np.float64), where=size > 0)
    return float(np.dot(share, np.diff(instants, append=to)) / (to - frm))


@dataclass(frozen=True, slots=True)
class Series:
    """Counts sampled at instants (n,), and the lowest count from each until the next."""

    time: Times
    official: NDArray[np.int64]
    official_min: NDArray[np.int64]
    rehearsal: NDArray[np.int64]
    rehearsal_min: NDArray[np.int64]
    observed: NDArray[np.int64]
    frame: NDArray[np.int64]


def series(stretches: Stretches, frm: int, to: int, step_us: int) -> Series:
    """Return the counts every `step_us` from `frm` on, before `to`."""
    instants = np.arange(frm, to, step_us, dtype=np.int64)

    def sample(which: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = steps(stretches.start[which], stretches.end[which], frm, to)
        at = union(found.start, instants)
        return found.at(instants), np.minimum.reduceat(found.at(at), np.searchsorted(at, instants))

    official, official_min = sample(stretches.official)
    rehearsal, rehearsal_min = sample(stretches.rehearsal)
    return Series(
        instants,
        official,
        official_min,
        rehearsal,
        rehearsal_min,
        sample(stretches.observed)[0],
        sample(stretches.frame)[0],
    )


@dataclass(frozen=True, slots=True)
class DaysRule:
    """A device lasts when it was connected at least `minutes` minutes on at least `least` of `of_days` days.

    Days are calendar days of `time_zone`; the last is the one that holds the asked instant.
    """

    minutes: int
    least: int
    of_days: int
    time_zone: str

    def days(self, at: datetime) -> list[date]:
        """Return the days that the rule looks at, the last one holding `at`."""
        last = at.astimezone(ZoneInfo(self.time_zone)).date()
        return [last - timedelta(days=back) for back in range(self.of_days - 1, -1, -1)]

    def bounds(self, at: datetime) -> Times:
        """Return where its days begin, and where the last ends, (of_days + 1,) µs."""
        zone = ZoneInfo(self.time_zone)
        days = self.days(at)
        midnights = [*days, days[-1] + timedelta(days=1)]
        return np.array([to_us(datetime.combine(day, time(), zone)) for day in midnights], np.int64)


def lasting(stretches: Stretches, scope: str, rule: DaysRule, at: datetime) -> int:
    """Return how many distinct devices satisfy `rule` at `at` in `scope`."""
    counted = stretches.counted(scope)
    device = stretches.device[counted]
    if len(device) == 0:
        return 0
    numbers, row = np.unique(device, return_inverse=True)
    enough = np.zeros(len(numbers), np.int64)
    start, end = stretches.start[counted], np.minimum(stretches.end[counted], to_us(at))
    bounds = rule.bounds(at)
    for begin, until in pairwise(bounds.tolist()):
        lasted = np.maximum(np.minimum(end, until) - np.maximum(start, begin), 0)
        enough += np.bincount(row, weights=lasted, minlength=len(numbers)) >= rule.minutes * 60_000_000
    return int(np.count_nonzero(enough >= rule.least))
