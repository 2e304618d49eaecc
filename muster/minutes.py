"""Device-minutes: of every device that was recorded in a minute how much, from when to when, and its digest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from muster.canonical import Arranged
from muster.events import TextReading
from muster.scans import NULL_BITS, Scans, sums

RECORD = np.dtype(
    [
        ("device", ">u4"),
        ("scans", ">u4"),
        ("texts", ">u4"),
        ("readings", ">u4"),
        ("good", ">u4"),
        ("first_time", ">i8"),
        ("last_time", ">i8"),
        ("first_received", ">i8"),
        ("last_received", ">i8"),
        ("digest", "u1", (32,)),
    ]
)
"""One device in one minute: how much was stored, from when to when (µs), and the SHA-256 of its canonical bytes."""

_MERGED = {
    "scans": np.add,
    "texts": np.add,
    "readings": np.add,
    "good": np.add,
    "first_time": np.minimum,
    "first_received": np.minimum,
    "last_time": np.maximum,
    "last_received": np.maximum,
}
"""How records of one device become one."""


def of_scans(scans: Scans, found: Arranged) -> NDArray[np.void]:
    """Return a record of each device's scans, (k,) by device, without a digest.

    A place without value whose quality is Good holds no reading.
    """
    starts = found.starts
    records = np.zeros(len(starts), RECORD)
    if not len(records):
        return records
    present = scans.value.view(np.uint64) != NULL_BITS
    readings = good = sums(present, scans.offsets)[found.index]
    if scans.quality is not None and scans.quality.any():
        good = sums(present & (scans.quality == 0), scans.offsets)[found.index]
        readings = sums(present | (scans.quality != 0), scans.offsets)[found.index]
    records["device"] = scans.device[found.index[starts]]
    records["scans"] = np.diff(np.append(starts, len(found.index)))
    records["readings"] = np.add.reduceat(readings, starts)
    records["good"] = np.add.reduceat(good, starts)
    for kind, column in (("time", scans.time), ("received", scans.received)):
        ordered = column[found.index]
        records[f"first_{kind}"] = np.minimum.reduceat(ordered, starts)
        records[f"last_{kind}"] = np.maximum.reduceat(ordered, starts)
    return records


def of_texts(texts: Sequence[TextReading]) -> NDArray[np.void]:
    """Return a record for each text, (n,), without a digest."""
    records = np.zeros(len(texts), RECORD)
    records["device"] = [text.device for text in texts]
    records["texts"] = records["readings"] = 1
    records["good"] = [text.quality == 0 for text in texts]
    records["first_time"] = records["last_time"] = [text.time for text in texts]
    records["first_received"] = records["last_received"] = [text.received for text in texts]
    return records


def merged(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Return one record for each device of all `parts`, (k,) by device, without a digest."""
    every = np.concatenate([np.empty(0, RECORD), *parts]).astype(RECORD)  # joining forgets the byte order
    every = every[np.argsort(every["device"], kind="stable")]
    starts = np.flatnonzero(np.diff(every["device"].astype(np.int64), prepend=-1))
    records = every[starts]
    if len(records):
        for name, ufunc in _MERGED.items():
            records[name] = ufunc.reduceat(every[name].astype(np.int64), starts)
    return records


def added(records: NDArray[np.void], more: NDArray[np.void]) -> NDArray[np.void]:
    """Return `merged` of two parts that each have one record for each of their devices, by device.

    Where the first part knows all devices of the second, as in the midst of a minute, nothing is to be sorted.
    """
    if not len(records):
        return more
    place: NDArray[np.intp] | slice = slice(None)
    known, told = (part["device"].astype(np.int64) for part in (records, more))
    if not np.array_equal(known, told):
        place = np.searchsorted(known, told)
        if not np.array_equal(known[np.minimum(place, len(known) - 1)], told):
            return merged([records, more])
    whole = records.copy()
    for name, ufunc in _MERGED.items():
        whole[name][place] = ufunc(records[name][place].astype(np.int64), more[name].astype(np.int64))
    return whole
