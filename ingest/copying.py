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
    if not len(scans):
        return
    order = np.argsort(scans.device, kind="stable")
    is_null = scans.value.view(np.uint64) == NULL_BITS
    size = scans.size
    if size and not is_null.any() and (scans.quality is None or not scans.quality.any()):
        table = scans.value.reshape(-1, size)
        for index in _portions(order):
            yield _rows(scans, batch, index, table.take(index, 0), None).view(np.uint8).data
        return
    sizes = np.diff(scans.offsets).astype(np.int64)
    nulls = sums(is_null, scans.offsets)
    judged = np.zeros(len(sizes), np.bool_)
    if scans.quality is not None:
        judged = sums(scans.quality != 0, scans.offsets) > 0
    kind = sizes * 4 + (nulls > 0) * 2 + judged
    order = order[np.argsort(kind[order], kind="stable")]
    for group in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        for index in _portions(group):
            where = scans.offsets[index][:, None] + np.arange(int(sizes[index[0]]))
            quality = scans.quality[where] if scans.quality is not None and judged[index[0]] else None
            rows = _rows(scans, batch, index, scans.value[where], quality)
            if nulls[index[0]]:
                yield _without_nulls(rows, is_null[where], nulls[index])
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


def _portions(index: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Give `index` piece by piece."""
    for begin in range(0, len(index), PORTION):
        yield index[begin : begin + PORTION]


def _rows(
    scans: Scans,
    batch: NDArray[np.int64],
    index: NDArray[np.intp],
    value: NDArray[np.float64],
    quality: NDArray[np.int16] | None,
) -> NDArray[np.void]:
    """Return the rows at `index` with their values and qualities, (n, size) each, as if none were null."""
    rows = np.repeat(_blank(value.shape[1], quality is not None), len(index))
    rows["device"] = scans.device[index]
    rows["time"] = scans.time[index] - EPOCH_US
    rows["received"] = scans.received[index] - EPOCH_US
    rows["value_first"] = scans.first[index]
    rows["value"]["v"] = value
    if quality is not None:
        rows["quality_first"] = scans.first[index]
        rows["quality"]["v"] = quality
    rows["batch"] = batch[index]
    return rows


def _without_nulls(rows: NDArray[np.void], missing: NDArray[np.bool_], nulls: NDArray[np.int64]) -> bytes:
    """Return the bytes of `rows` with SQL null, which has a length of -1 and no bytes, where a value is missing.

    missing: (n, size); nulls: (n,), how many of each row.
    """
    size = missing.shape[1]
    rows["l4"] -= (8 * nulls).astype(np.int32)
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
