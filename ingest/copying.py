"""Scans and texts as PostgreSQL's binary COPY format, straight from numpy arrays.

Formats: PostgreSQL documentation, COPY, "Binary Format"; array and float8 as their receive functions read
them (`array_recv`: dimensions, flags, element type, size and lower bound, then each element with its length).
Scans are grouped by their length, so that one structured array holds the rows of a group; no Python object is
made per scan or per value.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muster.events import TextReading
from muster.scans import NULL_BITS, Scans, sums
from store.binary import EPOCH_US

PORTION = 2048
"""Rows made at a time: few enough to stay in the processor's cache until they are sent."""

_FLOAT8, _INT2 = 701, 21
_ARRAY_HEAD = 20


def scan_rows(scans: Scans, batch: NDArray[np.int64]) -> Iterator[bytes | memoryview]:
    """Give the rows of `scan` (device, time, received, value, quality, batch), some groups at a time.

    batch: (n,) int64, the batch of each scan. Rows alike in form come by device, so that the index takes the scans
    of a device one after the other; those of one device keep their order. Header and trailer are not given.
    """
    sizes = np.diff(scans.offsets).astype(np.int64)
    if not len(sizes):
        return
    is_null = scans.value.view(np.uint64) == NULL_BITS
    nulls = sums(is_null, scans.offsets)
    judged = np.zeros(len(sizes), np.bool_)
    if scans.quality is not None:
        judged = sums(scans.quality != 0, scans.offsets) > 0
    kind = sizes * 4 + (nulls > 0) * 2 + judged
    order = np.argsort(scans.device, kind="stable")
    if (kind == kind[0]).all():
        groups = [order]
    else:
        order = order[np.argsort(kind[order], kind="stable")]
        groups = np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)
    for group in groups:
        for index in np.split(group, range(PORTION, len(group), PORTION)):
            size = int(sizes[index[0]])
            rows = _rows(scans, batch, index, size, bool(judged[index[0]]))
            if nulls[index[0]]:
                yield _without_nulls(rows, scans, index, size, is_null, nulls)
            else:
                yield rows.view(np.uint8).data


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


@cache
def _blank(size: int, judged: bool) -> NDArray[np.void]:
    """One row, (1,), whose scan has `size` values, with everything that is the same in all such rows.

    The last elements of a field's name are its length.
    """
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
        ("value_head", ">i4", (4,)),
        ("value_first", ">i4"),
        ("value", element, (size,)),
        ("l5", ">i4"),
    ]
    if judged:
        fields += [
            ("quality_head", ">i4", (4,)),
            ("quality_first", ">i4"),
            ("quality", np.dtype([("l", ">i4"), ("v", ">i2")]), (size,)),
        ]
    fields += [("l6", ">i4"), ("batch", ">i8")]
    row = np.zeros(1, np.dtype(fields))
    row["fields"], row["l1"], row["l2"], row["l3"], row["l6"] = 6, 4, 8, 8, 8
    row["l4"] = _ARRAY_HEAD + 12 * size
    row["value_head"] = (1, 0, _FLOAT8, size)
    row["value"]["l"] = 8
    row["l5"] = -1
    if judged:
        row["l5"] = _ARRAY_HEAD + 6 * size
        row["quality_head"] = (1, 0, _INT2, size)
        row["quality"]["l"] = 2
    return row


def _rows(
    scans: Scans, batch: NDArray[np.int64], index: NDArray[np.intp], size: int, judged: bool
) -> NDArray[np.void]:
    """Return the rows at `index`, all of `size` values, as if none were null."""
    rows = np.repeat(_blank(size, judged), len(index))
    start, first = scans.offsets[index], scans.first[index]
    rows["device"] = scans.device[index]
    rows["time"] = scans.time[index] - EPOCH_US
    rows["received"] = scans.received[index] - EPOCH_US
    rows["value_first"] = first
    rows["value"]["v"] = _together(scans.value, start, size)
    if judged:
        assert scans.quality is not None
        rows["quality_first"] = first
        rows["quality"]["v"] = _together(scans.quality, start, size)
    rows["batch"] = batch[index]
    return rows


def _together(values: NDArray[Any], start: NDArray[np.int32], size: int) -> NDArray[Any]:
    """Return (n, size): the `size` values from each start on; not copied where they lie one after the other."""
    length = len(start) * size
    if int(start[-1]) - int(start[0]) == length - size and (np.diff(start) == size).all():
        return values[start[0] : start[0] + length].reshape(len(start), size)
    apart: NDArray[Any] = values[start[:, None] + np.arange(size)]
    return apart


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
