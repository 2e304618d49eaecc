"""What a minute of scans says of each tag: count, Good readings, and min, max, mean and last over these. Pure.

Most device-minutes are even (`even_minutes`); this module rolls up the others. Sums take their readings in the order of
their scans' time, receive time and batch, then of their values, so that computing twice gives the same bits. A mean
over readings that are not all finite and below 1e290 is NaN, and readings within 1e-290 weigh nothing in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.even_minutes import even_minutes
from store.ranks import HUGE, MAGNITUDE, TINY, ranked, unranked
from store.scan_rows import Part


@dataclass(frozen=True, slots=True)
class TagMinutes:
    """Cells, a row of them for each device-minute: cells[begin[i]:begin[i + 1]] are the positions 1, 2, … of the i-th.

    count, good: (m,) int64. least, greatest, mean, last: (m,) float64, of no meaning where `good` is 0.
    """

    begin: NDArray[np.int64]
    count: NDArray[np.int64]
    good: NDArray[np.int64]
    least: NDArray[np.float64]
    greatest: NDArray[np.float64]
    mean: NDArray[np.float64]
    last: NDArray[np.float64]


def tag_minutes(pairs: int, parts: Sequence[Part]) -> TagMinutes:
    """Roll up the scans of device-minutes 0 to `pairs`; one has cells up to the last position that a scan names.

    parts: at least one.
    """
    widths, met = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    for part in parts:
        np.maximum.at(widths, part.pair, part.first + part.value.shape[1] - 1)
        met[np.unique(part.pair)] += 1
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
    evens = [even for part in parts if (even := even_minutes(part, met == 1)) is not None]
    uneven = np.ones(pairs, np.bool_)
    for even in evens:
        uneven[even.pair] = False
    rolled = _uneven([part.taken(uneven[part.pair]) for part in parts], begin)
    for even in evens:
        cell = _span(begin[even.pair] + even.first - 1, even.last.shape[1])
        rolled.count[cell] = rolled.good[cell] = even.scans[:, None]
        rolled.least[cell], rolled.greatest[cell] = even.least, even.greatest
        rolled.mean[cell], rolled.last[cell] = even.mean, even.last
    return rolled


def _uneven(parts: Sequence[Part], begin: NDArray[np.int64]) -> TagMinutes:
    """Roll up any scans, whatever they are."""
    cell, value, is_good, is_null = _readings(parts, begin)
    cells = int(begin[-1])
    count = np.bincount(cell if is_null is None else cell[~is_null], minlength=cells)
    if is_good is not None:
        cell, value = cell[is_good], value[is_good]
    good = np.bincount(cell, minlength=cells)
    rank = ranked(value)
    least, greatest = np.full(cells, MAGNITUDE), np.full(cells, ~MAGNITUDE)
    np.minimum.at(least, cell, rank)
    np.maximum.at(greatest, cell, rank)
    newest = np.zeros(cells, np.int64)
    np.maximum.at(newest, cell, np.arange(len(cell)))
    last = value[newest] if len(value) else np.zeros(cells)
    mean = _mean(cell, value, good)
    return TagMinutes(begin, count, good, unranked(least), unranked(greatest), mean, last)


def _mean(
    cell: NDArray[np.int64], value: NDArray[np.float64], good: NDArray[np.int64]
) -> NDArray[np.float64]:
    size = np.abs(value)
    beyond = ~(size < HUGE)
    weighs = (size > TINY) & ~beyond
    total = np.bincount(cell[weighs], value[weighs], len(good))
    mean = np.where(np.abs(total) < TINY, 0.0, total / np.maximum(good, 1))
    mean[cell[beyond]] = np.nan
    return mean


def _readings(
    parts: Sequence[Part], begin: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Return each reading's cell and value, and whether it is Good and whether missing, as they are to be summed.

    Not whether it is Good where all are, nor whether missing where none is.
    """
    sizes = np.concatenate([np.full(len(part.pair), part.value.shape[1]) for part in parts])
    order, place = _order(parts)
    start = np.empty(len(order), np.int64)
    start[order] = np.cumsum(sizes[order]) - sizes[order]
    cell = _laid([_span(begin[part.pair] + part.first - 1, part.value.shape[1]) for part in parts], start)
    value = _laid([part.value for part in parts], start)
    is_null = is_good = None
    if any(part.null is not None for part in parts):
        is_null = _laid([_or_none(part.null, part) for part in parts], start)
        is_good = ~is_null
    if any(part.bad is not None for part in parts):
        is_right = ~_laid([_or_none(part.bad, part) for part in parts], start)
        is_good = is_right if is_good is None else is_good & is_right
    if place is not None:
        finer = np.lexsort((ranked(value), np.repeat(place, sizes[order])))
        cell, value = cell[finer], value[finer]
        is_good = None if is_good is None else is_good[finer]
        is_null = None if is_null is None else is_null[finer]
    return cell, value, is_good, is_null


def _laid(columns: Sequence[NDArray[Any]], start: NDArray[np.int64]) -> NDArray[Any]:
    """Return what columns, (n, size) each, have of every reading in one line, (m,); `start`: where each scan begins."""
    laid = np.empty(sum(column.size for column in columns), columns[0].dtype.newbyteorder("="))
    done = 0
    for column in columns:
        scans, size = column.shape
        laid[_span(start[done : done + scans], size)] = column
        done += scans
    return laid


def _span(first: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return `size` numbers in a row from each first on, (n, size)."""
    return first[:, None] + np.arange(size)


def _or_none(those: NDArray[np.bool_] | None, part: Part) -> NDArray[np.bool_]:
    return np.zeros(part.value.shape, np.bool_) if those is None else those


def _order(parts: Sequence[Part]) -> tuple[NDArray[np.intp], NDArray[np.int64] | None]:
    """Return the order of all scans, (n,), and each ordered one's place, (n,), if any two have the same."""
    pair = np.concatenate([part.pair for part in parts])
    time = np.concatenate([part.time for part in parts])
    received = np.concatenate([part.received for part in parts])
    batch = np.concatenate([part.batch for part in parts])
    order = np.lexsort((batch, received, time, pair))
    differs = np.zeros(max(len(order) - 1, 0), np.bool_)
    for column in (batch, received, time, pair):
        differs |= np.diff(column[order]) != 0
    if differs.all():
        return order, None
    return order, np.concatenate([np.zeros(1, np.int64), np.cumsum(differs)])
