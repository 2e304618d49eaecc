"""PostgreSQL's arrays in their binary form, and records of fixed width, read without an object per element. Pure.

An array of one dimension is a header of 20 bytes and then, for each element, its length and itself, all big-endian
(PostgreSQL, `array_send` in src/backend/utils/adt/arrayfuncs.c); an empty one is a header of 12.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POSTGRES_EPOCH_US = 946_684_800 * 1_000_000
"""2000-01-01, from which PostgreSQL counts its timestamps."""
_HEADER = 20
Raw = bytes | None


def joined(raws: Sequence[Raw], kind: str) -> NDArray[np.int64]:
    """Return the elements of several arrays one after another, (n,) int64; `kind` is the element as numpy names it.

    None and the empty array have no elements; no element may be null.
    """
    element = np.dtype([("length", ">i4"), ("value", kind)])
    payload = b"".join(raw[_HEADER:] for raw in raws if raw)
    return np.frombuffer(payload, element)["value"].astype(np.int64)


def records(raws: Sequence[Raw], kind: np.dtype[np.void]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Return the records of several values one after another, (n,) `kind`, and how many each has, (k,) int64."""
    size = kind.itemsize
    sizes = np.array([len(raw) // size if raw else 0 for raw in raws], np.int64)
    return np.frombuffer(b"".join(raw for raw in raws if raw), kind), sizes


def texts(raw: Raw) -> list[str]:
    """Return the elements of an array of text without nulls."""
    found: list[str] = []
    if raw:
        place = _HEADER
        while place < len(raw):
            begin = place + 4
            place = begin + int.from_bytes(raw[begin - 4 : begin])
            found.append(raw[begin:place].decode())
    return found
