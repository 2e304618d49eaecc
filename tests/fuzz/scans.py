"""What must hold of every value that any decoder makes, and a sink that looks."""

import numpy as np
from numpy.typing import NDArray

from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import NULL_BITS
from tests.hearing import Hearing, Seen


def check(value: NDArray[np.float64], quality: NDArray[np.int16] | None, texts: set[int], first: int) -> None:
    """Check one scan: no infinity, no NaN but NULL; what is NULL has a text or says why, what is Bad has no value."""
    assert value.dtype == np.float64
    absent = value.view(np.uint64) == NULL_BITS
    assert np.isfinite(value[~absent]).all(), value
    if quality is not None:
        assert quality.shape == value.shape
        assert absent[quality >= Quality.BAD].all(), (value, quality)
    for at in np.flatnonzero(absent).tolist():
        assert first + at in texts or (quality is not None and quality[at] != 0), (value, quality)


class Sink(Hearing[Seen]):
    """Takes scans and checks each; between the tags that one says, it may say nothing."""

    def keep(self, seen: Seen) -> None:
        absent = seen.value.view(np.uint64) == NULL_BITS
        assert np.isfinite(seen.value[~absent]).all(), seen.value
        if seen.quality is not None:
            assert absent[seen.quality >= Quality.BAD].all(), (seen.value, seen.quality)

    def text(self, reading: TextReading) -> None:
        assert isinstance(reading.value, str)

    def event(self, event: Event) -> None:
        assert event.reason or event.kind
