"""When a gateway's devices were watched, as known at an instant: watch rows made into disjoint covers.

Pure functions of data; times are µs since 1970 and intervals half-open. A watch row holds its last instant,
so its cover ends one µs after it. The same rule stands in `counting.sql` for a single instant:

- a row says nothing before it was recorded;
- it covers [valid_from, valid_to]; a live row is believed to go on until its lease, counted from when it was
  last extended, has run out, unless the gateway had said by then that it stopped;
- of several rows that cover an instant, the one that began last decides.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Watch:
    """A row of the table `watch`; times in µs."""

    id: int
    span: int
    gateway: int
    partition: int
    valid_from: int
    valid_to: int
    recorded_from: int
    recorded_to: int
    live: bool
    ended: bool

    def end(self, known: int, lease_us: int) -> int:
        """Return where its cover ends, as known at `known`, which is not before it was recorded."""
        lasts = known <= self.recorded_to + lease_us and (not self.ended or known < self.recorded_to)
        return max(self.valid_to, known) + 1 if self.live and lasts else self.valid_to + 1


@dataclass(frozen=True, slots=True)
class Cover:
    """From `start` until `end` the devices of a gateway and partition were watched, in `span`."""

    gateway: int
    partition: int
    span: int
    start: int
    end: int


def covers(watches: Iterable[Watch], known: int, lease_us: int, start: int, end: int) -> list[Cover]:
    """Return disjoint covers between `start` and `end`, in order of time within each gateway's partition."""
    groups: dict[tuple[int, int], list[tuple[int, int, Watch]]] = defaultdict(list)
    for watch in watches:
        if watch.recorded_from <= known:
            begin, until = max(watch.valid_from, start), min(watch.end(known, lease_us), end)
            if begin < until:
                groups[watch.gateway, watch.partition].append((begin, until, watch))
    return [
        Cover(gateway, partition, span, begin, until)
        for (gateway, partition), rows in sorted(groups.items())
        for begin, until, span in _disjoint(rows)
    ]


def _disjoint(rows: list[tuple[int, int, Watch]]) -> list[tuple[int, int, int]]:
    """Return (start, end, span) without overlaps, neighbours of one span joined."""
    rows.sort(key=lambda row: row[0])
    instants = sorted({instant for begin, until, _ in rows for instant in (begin, until)})
    active: list[tuple[int, int, int, int, int]] = []
    out: list[tuple[int, int, int]] = []
    following = 0
    for begin, until in pairwise(instants):
        while following < len(rows) and rows[following][0] == begin:
            _, ends, watch = rows[following]
            heapq.heappush(active, (-watch.valid_from, -watch.recorded_from, -watch.id, ends, watch.span))
            following += 1
        while active and active[0][3] <= begin:
            heapq.heappop(active)
        if not active:
            continue
        span = active[0][4]
        if out and out[-1][2] == span and out[-1][1] == begin:
            out[-1] = (out[-1][0], until, span)
        else:
            out.append((begin, until, span))
    return out
