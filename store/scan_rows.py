"""Scans as the database sends them to be rolled up, read without a Python object per scan or per value. Pure.

`rollup.sql` gives the columns of scans whose arrays are alike in length, each column joined. All numbers are
big-endian. An array is how many dimensions it has, whether it may hold nulls, its type, its size and lower bound, and
then each element with its length, which is -1 for null (PostgreSQL, `array_send` in arrayfuncs.c).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT8, _INT2 = 701, 21
_HEAD = 16
"""Where an array says its lower bound."""
_ELEMENTS = 20
_LONGEST = 32767
"""The last position that a tag can have."""

Bytes = NDArray[np.uint8]
Row = tuple[bytes, bytes, bytes, bytes, bytes, bytes | None]
"""Device-minute's number, time, received, batch, values, and qualities or None, each of n scans joined."""


@dataclass(frozen=True, slots=True)
class Part:
    """n scans of `size` values each.

    pair: (n,) int64, the number of each one's device-minute. time, received, batch: (n,) int64. first: (n,) int64, the
    position of the first value. value: (n, size) float64, in the database's byte order or this machine's. bad, null:
    (n, size) bool, or None where no value is of bad quality, or missing.
    """

    pair: NDArray[np.int64]
    time: NDArray[np.int64]
    received: NDArray[np.int64]
    batch: NDArray[np.int64]
    first: NDArray[np.int64]
    value: NDArray[np.float64]
    bad: NDArray[np.bool_] | None
    null: NDArray[np.bool_] | None

    def taken(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Part":
        """Return these scans: (n,) whether each, or (k,) which, in that order."""
        return Part(
            self.pair[which],
            self.time[which],
            self.received[which],
            self.batch[which],
            self.first[which],
            self.value[which],
            None if self.bad is None else self.bad[which],
            None if self.null is None else self.null[which],
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """n scans whose values have the same head: their columns, and the bytes of their arrays, (n, k) each."""

    columns: tuple[NDArray[np.int64], ...]
    values: Bytes
    qualities: Bytes | None

    def at(self, index: Any) -> "_Block":
        """Return the scans at `index`."""
        qualities = None if self.qualities is None else self.qualities[index]
        return _Block(tuple(column[index] for column in self.columns), self.values[index], qualities)


def parts(rows: Iterable[Row]) -> tuple[list[Part], set[int]]:
    """Return these scans, and the numbers of device-minutes with a scan that no gateway sends.

    Odd are arrays that are empty or of several dimensions, positions that no tag has, and qualities that are not one
    for each value; of such a device-minute some scans may be in the parts.
    """
    usual: list[tuple[_Block, int]] = []
    sparse: list[tuple[_Block, int]] = []
    odd: set[int] = set()
    for row in rows:
        for block in _alike(_block(row)):
            size, has_null = _shape(block.values[0])
            fit = _fitting(block, size)
            odd.update(block.columns[0][~fit].tolist())
            if fit.any():
                (sparse if has_null else usual).append((block if fit.all() else block.at(fit), size))
    found = [_part(block, _elements(block.values, ">f8", size), None, size) for block, size in usual]
    found += [
        _part(block, value, null, value.shape[1])
        for (block, _), (value, null) in zip(sparse, _walked(sparse), strict=True)
    ]
    return found, odd


def _block(row: Row) -> _Block:
    number, *times, values, qualities = row
    scans = len(number) // 4
    columns = [np.frombuffer(number, ">i4"), *(np.frombuffer(column, ">i8") for column in times)]
    return _Block(
        tuple(column.astype(np.int64) for column in columns),
        np.frombuffer(values, np.uint8).reshape(scans, -1),
        None if qualities is None else np.frombuffer(qualities, np.uint8).reshape(scans, -1),
    )


def _alike(block: _Block) -> Iterator[_Block]:
    """Give those scans together whose values begin with the same bytes, up to the lower bound."""
    heads = block.values[:, :_HEAD]
    if (heads == heads[0]).all():
        yield block
        return
    keys = np.ascontiguousarray(np.pad(heads, ((0, 0), (0, _HEAD - heads.shape[1])))).view(f"V{_HEAD}")
    _, group = np.unique(keys.ravel(), return_inverse=True)
    for number in range(int(group.max()) + 1):
        yield block.at(group == number)


def _shape(array: Bytes) -> tuple[int, bool]:
    """Return how many elements an array of one dimension has, and whether it may hold nulls; 0 of any other."""
    dimensions, has_null = array[:8].view(">i4").tolist()
    return (int(array[12:_HEAD].view(">i4")[0]), bool(has_null)) if dimensions == 1 else (0, False)


def _fitting(block: _Block, size: int) -> NDArray[np.bool_]:
    """Return (n,) which scans have values of tags, and a quality for each or none."""
    if size == 0:
        return np.zeros(len(block.values), np.bool_)
    first = _first(block)
    fit: NDArray[np.bool_] = (first >= 1) & (first + size - 1 <= _LONGEST)
    if block.qualities is not None:
        due = np.frombuffer(pack(">4i", 1, 0, _INT2, size), np.uint8)
        heads = block.qualities[:, :_HEAD]
        fit &= (heads == due).all(axis=1) if heads.shape[1] == _HEAD else False
    return fit


def _first(block: _Block) -> NDArray[np.int64]:
    return np.ascontiguousarray(block.values[:, _HEAD:_ELEMENTS]).view(">i4")[:, 0].astype(np.int64)


def _part(block: _Block, value: NDArray[np.float64], null: NDArray[np.bool_] | None, size: int) -> Part:
    bad = None if block.qualities is None else _elements(block.qualities, ">i2", size) != 0
    pair, time, received, batch = block.columns
    return Part(pair, time, received, batch, _first(block), value, bad, null)


def _elements(arrays: Bytes, kind: str, size: int) -> NDArray[Any]:
    """Return the elements of arrays without nulls, (n, size), where they stand."""
    step = 4 + np.dtype(kind).itemsize
    found: NDArray[Any] = np.ndarray(
        (len(arrays), size), kind, arrays, _ELEMENTS + 4, (arrays.shape[1], step)
    )
    return found


def _walked(
    blocks: list[tuple[_Block, int]],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Give the values of arrays that may hold nulls, and which are null, (n, size) each.

    An element's place depends on those before it: all arrays are walked through at once, element by element.
    """
    if not blocks:
        return
    blocks_size = np.array([size for _, size in blocks])
    counts = np.array([len(block.values) for block, _ in blocks])
    widths = np.array([block.values.shape[1] for block, _ in blocks])
    flat = np.concatenate([*(block.values.ravel() for block, _ in blocks), np.zeros(12, np.uint8)])
    width, size = np.repeat(widths, counts), np.repeat(blocks_size, counts)
    at = np.cumsum(width) - width + _ELEMENTS
    value = np.zeros((int(size.max()), len(size)))
    null = np.ones(value.shape, np.bool_)
    for number in range(len(value)):
        there = size > number
        length = flat[at[there]] == 0
        null[number, there] = ~length
        bits = flat[at[there][:, None] + np.arange(4, 12)].view(">f8")[:, 0]
        value[number, there] = np.where(length, bits, 0.0)
        at[there] += np.where(length, 12, 4)
    ends = np.cumsum(counts).tolist()
    for end, count, wide in zip(ends, counts.tolist(), blocks_size.tolist(), strict=True):
        yield value[:wide, end - count : end].T.copy(), null[:wide, end - count : end].T.copy()
