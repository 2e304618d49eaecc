"""Roll-ups as rows of PostgreSQL's binary COPY format, straight from numpy arrays.

Formats: PostgreSQL documentation, COPY, "Binary Format"; arrays as their receive functions read them (`array_recv`).
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from store.tag_minutes import TagMinutes

_INT4, _FLOAT8 = (23, ">i4"), (701, ">f8")
_COLUMNS = {
    "count": _INT4,
    "good": _INT4,
    "least": _FLOAT8,
    "greatest": _FLOAT8,
    "mean": _FLOAT8,
    "last": _FLOAT8,
}
_ARRAY_HEAD = 20


def rollup_rows(
    device: NDArray[np.int64], time: NDArray[np.int64], rolled: TagMinutes, without: Iterable[int]
) -> Iterator[bytes]:
    """Give the rows of `rollup_minute` (device, time, count, good, min, max, mean, last), those alike in form together.

    device, time: (n,) of each device-minute, the time in µs since 2000. Those whose number is in `without` have no row,
    nor has one without a reading; an array ends at the last position that has one. Header and trailer are not given.
    """
    some = np.flatnonzero(rolled.count)
    owner = np.searchsorted(rolled.begin, some, side="right") - 1
    width = np.zeros(len(device), np.int64)
    np.maximum.at(width, owner, some - rolled.begin[owner] + 1)
    width[list(without)] = 0
    for size in np.unique(width[width > 0]).tolist():
        index = np.flatnonzero(width == size)
        cells = rolled.begin[index][:, None] + np.arange(size)
        rows = np.repeat(_blank(size), len(index))
        rows["device"], rows["time"] = device[index], time[index]
        empty, unknown = rolled.count[cells] == 0, rolled.good[cells] == 0
        for name in _COLUMNS:
            rows[name]["element"]["value"] = getattr(rolled, name)[cells]
        if unknown.any():
            yield _with_nulls(rows, size, empty, unknown)
        else:
            yield rows.tobytes()


@cache
def _blank(size: int) -> NDArray[np.void]:
    """One row, (1,), of `size` positions, with everything that is the same in all such rows."""
    fields: list[tuple[object, ...]] = [
        ("fields", ">i2"),
        ("l1", ">i4"),
        ("device", ">i4"),
        ("l2", ">i4"),
        ("time", ">i8"),
    ]
    for name, (_, kind) in _COLUMNS.items():
        element = np.dtype([("length", ">i4"), ("value", kind)])
        column = [("length", ">i4"), ("head", ">i4", (5,)), ("element", element, (size,))]
        fields.append((name, np.dtype(column)))
    row = np.zeros(1, np.dtype(fields))
    row["fields"], row["l1"], row["l2"] = 2 + len(_COLUMNS), 4, 8
    for name, (oid, kind) in _COLUMNS.items():
        width = np.dtype(kind).itemsize
        row[name]["length"] = _ARRAY_HEAD + (4 + width) * size
        row[name]["head"] = (1, 0, oid, size, 1)
        row[name]["element"]["length"] = width
    return row


def _with_nulls(
    rows: NDArray[np.void], size: int, empty: NDArray[np.bool_], unknown: NDArray[np.bool_]
) -> bytes:
    """Return the bytes of `rows` with SQL null, which has a length of -1 and no bytes, where nothing is known.

    empty, unknown: (n, size) bool, where there is no reading, and where there is no Good one.
    """
    kept = np.ones((len(rows), rows.dtype.itemsize), np.bool_)
    fields = rows.dtype.fields
    assert fields is not None
    for name, (_, kind) in _COLUMNS.items():
        missing = empty if name in ("count", "good") else unknown
        width = np.dtype(kind).itemsize
        column = rows[name]
        column["length"] -= (width * missing.sum(axis=1)).astype(np.int32)
        column["head"][:, 1] = missing.any(axis=1)
        column["element"]["length"][missing] = -1
        start = fields[name][1] + 4 + _ARRAY_HEAD
        elements = kept[:, start : start + (4 + width) * size].reshape(len(rows), size, 4 + width)
        elements[:, :, 4:] = ~missing[:, :, None]
    return rows.view(np.uint8).reshape(kept.shape)[kept].tobytes()
