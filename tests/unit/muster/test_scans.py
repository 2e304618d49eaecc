"""Columns of scans cut and gathered: each scan keeps its own values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muster.scans import Scans


def scans_of(sizes: list[int], qualified: bool) -> Scans:
    """Scans of so many values each; every column is numbered through."""
    count = len(sizes)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    readings = int(offsets[-1])
    return Scans(
        np.arange(count, dtype=np.int32),
        np.arange(count) + 100,
        np.arange(count) + 200,
        np.arange(1, count + 1, dtype=np.int32),
        np.arange(count).astype(np.uint8) % 3,
        offsets,
        np.arange(readings, dtype=np.float64),
        np.arange(readings, dtype=np.int16) if qualified else None,
    )


@given(
    st.lists(st.integers(1, 5), max_size=20), st.booleans(), st.tuples(st.integers(0, 20), st.integers(0, 20))
)
def test_what_lies_between_is_what_taking_it_scan_by_scan_gives(
    sizes: list[int], qualified: bool, ends: tuple[int, int]
) -> None:
    scans = scans_of(sizes, qualified)
    begin, end = sorted(min(at, len(scans)) for at in ends)
    cut, taken = scans.between(begin, end), scans.take(np.arange(begin, end))
    for name in ("device", "time", "received", "first", "how", "offsets", "value"):
        one, other = getattr(cut, name), getattr(taken, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other), name
    assert (cut.quality is None) == (taken.quality is None) == (not qualified)
    assert cut.quality is None or np.array_equal(cut.quality, taken.quality)
