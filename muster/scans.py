"""Scans as columns: the one form in which readings travel from a decoder to the database.

A scan is the readings of one device that share one source time: an array in the order of the device's tags,
whose first index is the first tag's position. `Scans` holds many of them without a Python object per value
or per scan. Missing values are the bit pattern `NULL`, which no decoder produces from data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

NULL_BITS = 0x7FF8000000000001
NULL = float(np.array([NULL_BITS], dtype=np.uint64).view(np.float64)[0])
"""A value that did not come: stored as SQL null. Compare bits, never with `==`."""


class How(IntEnum):
    """How a scan came, which decides what makes it fresh (DESIGN §4)."""

    SOLICITED = 0  # answer to a poll or to a read that bypasses caches
    UNSOLICITED = 1  # subscription notification or publish
    HISTORY = 2  # retained, buffered or replayed by the source: never fresh


@dataclass(frozen=True, slots=True)
class Scans:
    """Columns of n scans holding m values in all.

    device: (n,) int32, the device's number.
    time: (n,) int64, source time in µs since 1970.
    received: (n,) int64, the gateway's receive time in µs since 1970.
    first: (n,) int32, position of the scan's first value, counted from 1.
    how: (n,) uint8, one of `How`.
    offsets: (n + 1,) int32; scan i holds value[offsets[i]:offsets[i + 1]].
    value: (m,) float64.
    quality: (m,) int16, or None when every value is Good.
    """

    device: NDArray[np.int32]
    time: NDArray[np.int64]
    received: NDArray[np.int64]
    first: NDArray[np.int32]
    how: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    value: NDArray[np.float64]
    quality: NDArray[np.int16] | None

    def __len__(self) -> int:
        return len(self.device)

    @property
    def readings(self) -> int:
        """How many values these scans hold."""
        return len(self.value)

    @classmethod
    def empty(cls) -> "Scans":
        """Return no scans."""
        return cls(
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
            np.zeros(1, np.int32),
            np.empty(0, np.float64),
            None,
        )

    @classmethod
    def concatenate(cls, parts: "Sequence[Scans]") -> "Scans":
        """Return all scans of `parts`, in their order."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        offsets = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=offsets[1:])
        quality = None
        if any(part.quality is not None for part in parts):
            quality = np.concatenate(
                [np.zeros(len(p.value), np.int16) if p.quality is None else p.quality for p in parts]
            )
        return cls(
            np.concatenate([part.device for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.received for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.how for part in parts]),
            offsets,
            np.concatenate([part.value for part in parts]),
            quality,
        )

    @property
    def size(self) -> int:
        """How many values each scan holds, when all of at least one hold as many; 0 when they differ."""
        if not len(self):
            return 0
        size, left = divmod(len(self.value), len(self))
        return size if not left and (self.offsets[1:] - self.offsets[:-1] == size).all() else 0

    def take(self, index: NDArray[np.intp]) -> "Scans":
        """Return the scans at `index` ((k,) integers), in that order."""
        sizes = np.diff(self.offsets)[index]
        offsets = np.zeros(len(index) + 1, np.int32)
        np.cumsum(sizes, out=offsets[1:])
        gather = np.repeat(self.offsets[index] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return Scans(
            self.device[index],
            self.time[index],
            self.received[index],
            self.first[index],
            self.how[index],
            offsets,
            self.value[gather],
            None if self.quality is None else self.quality[gather],
        )

    def between(self, begin: int, end: int) -> "Scans":
        """Return the scans from index `begin` up to `end`, without copying their columns."""
        start, stop = self.offsets[begin], self.offsets[end]
        return Scans(
            self.device[begin:end],
            self.time[begin:end],
            self.received[begin:end],
            self.first[begin:end],
            self.how[begin:end],
            self.offsets[begin : end + 1] - start,
            self.value[start:stop],
            None if self.quality is None else self.quality[start:stop],
        )

    def good(self) -> NDArray[np.bool_]:
        """Return (n,) bool: whether the scan holds at least one Good value.

        A missing value (`NULL`) is not Good whatever its quality says.
        """
        if len(self) == 0:
            return np.zeros(0, np.bool_)
        present = self.value.view(np.uint64) != NULL_BITS
        if self.quality is not None:
            present &= self.quality == 0
        if present.all():
            return self.offsets[1:] > self.offsets[:-1]
        counts = np.concatenate([[0], np.cumsum(present)])
        return counts[self.offsets[1:]] > counts[self.offsets[:-1]]


def sums(values: NDArray[np.bool_], offsets: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many of each scan's values, (m,) bool, are true: (n,)."""
    if values.all():
        return np.diff(offsets).astype(np.int64)
    if not values.any():
        return np.zeros(len(offsets) - 1, np.int64)
    running = np.concatenate([[0], np.cumsum(values)])
    counted: NDArray[np.int64] = running[offsets[1:]] - running[offsets[:-1]]
    return counted
