"""Device-minutes that need little work: scan after scan of the same tags, all Good, nothing out of the way. Pure.

Their oldest scans are taken together, then the next ones, so that what is worked on stays small. The answers are those
of `tag_minutes`, bit for bit, which rolls up all others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from store.ranks import HUGE, MAGNITUDE, TINY, ranked_number, unranked
from store.scan_rows import Part

_LEAST, _GREATEST = ranked_number(np.array([-HUGE, HUGE]))
_ONE = np.uint64(1)
_TINY_BITS = np.array(TINY).view(np.uint64)


@dataclass(frozen=True, slots=True)
class EvenMinutes:
    """n device-minutes by their numbers; of each `scans` scans of the same tags, `size` from position `first` on.

    pair, first, scans: (n,) int64. least, greatest, mean, last: (n, size) float64.
    """

    pair: NDArray[np.int64]
    first: NDArray[np.int64]
    scans: NDArray[np.int64]
    least: NDArray[np.float64]
    greatest: NDArray[np.float64]
    mean: NDArray[np.float64]
    last: NDArray[np.float64]


def even_minutes(part: Part, alone: NDArray[np.bool_]) -> EvenMinutes | None:
    """Roll up those device-minutes of a part that are even.

    Their scans begin at the same position, have different times, and no value that is missing, not Good, not finite,
    beyond `HUGE` or, if not 0, within `TINY`. alone: (p,) which device-minutes have no other scans.
    """
    if part.null is not None or part.bad is not None:
        return None
    # The index gives the newest first, but the database may have sorted scans by their lengths.
    if not _in_order(part):
        part = part.taken(np.lexsort((-part.time, part.pair)))
    step = np.diff(part.pair)
    start = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(step) + 1])
    scans = np.diff(start, append=len(part.pair))
    even = alone[part.pair[start]]
    apart = (step > 0) | ((np.diff(part.time) != 0) & (np.diff(part.first) == 0))
    even[np.searchsorted(start, np.flatnonzero(~apart), side="right") - 1] = False
    chosen = np.flatnonzero(even)
    if not len(chosen):
        return None
    chosen = chosen[np.argsort(-scans[chosen], kind="stable")]
    return _rolled(part, start[chosen], scans[chosen])


def _in_order(part: Part) -> bool:
    step = np.diff(part.pair)
    return bool(((step > 0) | ((step == 0) & (np.diff(part.time) < 0))).all())


def _rolled(part: Part, start: NDArray[np.int64], scans: NDArray[np.int64]) -> EvenMinutes:
    """Roll up the device-minutes whose scans begin at `start`, those with the most scans first."""
    shape = (len(start), part.value.shape[1])
    oldest = start + scans - 1
    least, greatest = np.full(shape, MAGNITUDE), np.full(shape, ~MAGNITUDE)
    smallest = np.full(shape, 2 * _TINY_BITS)
    total = np.zeros(shape)
    ends = np.searchsorted(-scans, -np.arange(int(scans[0]))).tolist()
    with np.errstate(all="ignore"):
        for number, end in enumerate(ends):
            value = part.value[oldest[:end] - number].astype(np.float64)
            total[:end] += value
            rank = ranked_number(value)
            np.minimum(least[:end], rank, out=least[:end])
            np.maximum(greatest[:end], rank, out=greatest[:end])
            size = np.abs(value).view(np.uint64)
            size -= _ONE  # 0 becomes the largest there is
            np.minimum(smallest[:end], size, out=smallest[:end])
    usual = ((least > _LEAST) & (greatest < _GREATEST) & (smallest >= _TINY_BITS)).all(axis=1)
    start, scans, total = start[usual], scans[usual], total[usual]
    return EvenMinutes(
        part.pair[start],
        part.first[start],
        scans,
        unranked(least[usual]),
        unranked(greatest[usual]),
        np.where(np.abs(total) < TINY, 0.0, total / scans[:, None]),
        part.value[start].astype(np.float64),
    )
