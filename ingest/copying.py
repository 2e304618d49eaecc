"""Scans and texts as PostgreSQL's binary COPY format, straight from numpy arrays.

Formats: PostgreSQL documentation, COPY, "Binary Format"; array and float8 as their receive functions read
them (`array_recv`: dimensions, flags, element type, size and lower bound, then each element with its length).
Scans are grouped by their length, so that one structured array holds the rows of a group; no Python object is
made per scan or per value.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from muster.events import TextReading
from muster.scans import NULL_BITS, Scans

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts time from 2000-01-01 UTC."""

_FLOAT8, _INT2 = 701, 21
_ARRAY_HEAD = 20


def scan_rows(scans: Scans, batch: NDArray[np.int64]) -> Iterator[bytes]:
    """Give the rows of `scan` (device, time, received, value, quality, batch), some groups at a time.

    batch: (n,) int64, the batch of each scan. Rows come in no particular order. Header and trailer are not
    given.
    """
    sizes = np.diff(scans.offsets).astype(np.int64)
    if not len(sizes):
        return
    is_null = scans.value.view(np.uint64) == NULL_BITS
    nulls = _sums(is_null, scans.offsets)
    judged = np.zeros(len(sizes), np.bool_)
    if scans.quality is not None:
        judged = _sums(scans.quality != 0, scans.offsets) > 0
    kind = sizes * 4 + (nulls > 0) * 2 + judged
    order = np.argsort(kind, kind="stable")
    limits = np.flatnonzero(np.diff(kind[order])) + 1
    for index in np.split(order, limits):
        size = int(sizes[index[0]])
        rows = _rows(scans, batch, index, size, bool(judged[index[0]]))
        if nulls[index[0]]:
            yield _without_nulls(rows, scans, index, size, is_null, nulls)
        else:
            yield rows.tobytes()


def text_rows(readings: Sequence[TextReading], batch: Sequence[int]) -> bytes:
    """Return the rows of `reading_text` (device, position, time, received, value, quality, batch)."""
    head = np.zeros(len(readings), _text_head())
    tail = np.zeros(len(readings), _text_tail())
    head["fields"], head["l1"], head["l2"], head["l3"], head["l4"] = 7, 4, 4, 8, 8
    tail["l6"], tail["l7"] = 2, 8
    head["device"] = [reading.device for reading in readings]
    head["position"] = [reading.position for reading in readings]
    head["time"] = [reading.time - EPOCH_US for reading in readings]
    head["received"] = [reading.received - EPOCH_US for reading in readings]
    values = [reading.value.encode() for reading in readings]
    head["l5"] = [len(value) for value in values]
    tail["quality"] = [reading.quality for reading in readings]
    tail["batch"] = batch
    parts = zip(head, values, tail, strict=True)
    return b"".join(piece for h, value, t in parts for piece in (h.tobytes(), value, t.tobytes()))


def _sums(values: NDArray[np.bool_], offsets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many of each scan's values are true, (n,)."""
    if not values.any():
        return np.zeros(len(offsets) - 1, np.int64)
    running = np.concatenate([[0], np.cumsum(values)])
    counts: NDArray[np.int64] = running[offsets[1:]] - running[offsets[:-1]]
    return counts


@cache
def _row_type(size: int, judged: bool) -> np.dtype[np.void]:
    """The bytes of one row whose scan has `size` values; the last elements of a field are its length."""
    element = np.dtype([("l", ">i4"), ("v", ">f8")])
    fields: list[tuple[object, ...]] = [
        ("fields", ">i2"),
        ("l1", ">i4"),
        ("device", ">i4"),
        ("l2", ">i4"),
        ("time", ">i8"),
        ("l3", ">i4"),
        ("received", ">i8"),
        ("l4", ">i4"),
        ("value_head", ">i4", (5,)),
        ("value", element, (size,)),
        ("l5", ">i4"),
    ]
    if judged:
        fields += [
            ("quality_head", ">i4", (5,)),
            ("quality", np.dtype([("l", ">i4"), ("v", ">i2")]), (size,)),
        ]
    fields += [("l6", ">i4"), ("batch", ">i8")]
    return np.dtype(fields)


def _rows(
    scans: Scans, batch: NDArray[np.int64], index: NDArray[np.intp], size: int, judged: bool
) -> NDArray[np.void]:
    """Return the rows at `index`, all of `size` values, as if none were null."""
    rows = np.empty(len(index), _row_type(size, judged))
    gather = scans.offsets[index][:, None] + np.arange(size, dtype=np.int64)
    first = scans.first[index]
    rows["fields"], rows["l1"], rows["l2"], rows["l3"], rows["l6"] = 6, 4, 8, 8, 8
    rows["device"] = scans.device[index]
    rows["time"] = scans.time[index] - EPOCH_US
    rows["received"] = scans.received[index] - EPOCH_US
    rows["l4"] = _ARRAY_HEAD + 12 * size
    rows["value_head"][:, :4] = (1, 0, _FLOAT8, size)
    rows["value_head"][:, 4] = first
    rows["value"]["l"] = 8
    rows["value"]["v"] = scans.value[gather]
    rows["l5"] = -1
    if judged:
        assert scans.quality is not None
        rows["l5"] = _ARRAY_HEAD + 6 * size
        rows["quality_head"][:, :4] = (1, 0, _INT2, size)
        rows["quality_head"][:, 4] = first
        rows["quality"]["l"] = 2
        rows["quality"]["v"] = scans.quality[gather]
    rows["batch"] = batch[index]
    return rows


def _without_nulls(
    rows: NDArray[np.void],
    scans: Scans,
    index: NDArray[np.intp],
    size: int,
    is_null: NDArray[np.bool_],
    nulls: NDArray[np.int64],
) -> bytes:
    """Return the bytes of `rows` with SQL null, which has a length of -1 and no bytes, where a value is."""
    missing = is_null[scans.offsets[index][:, None] + np.arange(size, dtype=np.int64)]
    rows["l4"] -= (8 * nulls[index]).astype(np.int32)
    rows["value_head"][:, 1] = 1
    rows["value"]["l"][missing] = -1
    kept = np.ones((len(rows), rows.dtype.itemsize), np.bool_)
    fields = rows.dtype.fields
    assert fields is not None
    start = fields["value"][1]
    values = kept[:, start : start + 12 * size].reshape(len(rows), size, 12)
    values[:, :, 4:] = ~missing[:, :, None]
    return rows.view(np.uint8).reshape(kept.shape)[kept].tobytes()


@cache
def _text_head() -> np.dtype[np.void]:
    return np.dtype(
        [
            ("fields", ">i2"),
            ("l1", ">i4"),
            ("device", ">i4"),
            ("l2", ">i4"),
            ("position", ">i4"),
            ("l3", ">i4"),
            ("time", ">i8"),
            ("l4", ">i4"),
            ("received", ">i8"),
            ("l5", ">i4"),
        ]
    )


@cache
def _text_tail() -> np.dtype[np.void]:
    return np.dtype([("l6", ">i4"), ("quality", ">i2"), ("l7", ">i4"), ("batch", ">i8")])
