"""Scans one by one, for tests: the product only ever sees columns."""

import numpy as np
from numpy.typing import NDArray

from muster.scans import How, Scans


class ScanBuilder:
    """Collects scans one by one and gives them as columns."""

    def __init__(self) -> None:
        self._head: list[tuple[int, int, int, int, int, int]] = []
        self._value: list[NDArray[np.float64]] = []
        self._quality: list[NDArray[np.int16] | None] = []
        self._any_quality = False

    def __len__(self) -> int:
        return len(self._head)

    def add(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        """Add one scan; `value` is (k,) float64, `quality` (k,) int16 or None when all are Good."""
        self._head.append((device, time, received, first, how, len(value)))
        self._value.append(value)
        self._quality.append(quality)
        if quality is not None:
            self._any_quality = True

    def build(self) -> Scans:
        """Return what was added, and start anew."""
        if not self._head:
            return Scans.empty()
        head = np.array(self._head, np.int64)
        offsets = np.zeros(len(head) + 1, np.int32)
        np.cumsum(head[:, 5], out=offsets[1:])
        quality = None
        if self._any_quality:
            quality = np.concatenate(
                [
                    np.zeros(len(v), np.int16) if q is None else q
                    for v, q in zip(self._value, self._quality, strict=True)
                ]
            )
        scans = Scans(
            head[:, 0].astype(np.int32),
            head[:, 1].copy(),
            head[:, 2].copy(),
            head[:, 3].astype(np.int32),
            head[:, 4].astype(np.uint8),
            offsets,
            np.concatenate(self._value),
            quality,
        )
        self.__init__()  # type: ignore[misc]
        return scans
