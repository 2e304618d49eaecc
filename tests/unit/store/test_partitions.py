"""Ranges that are made cover what is wanted and overlap nothing, whatever stands there already."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from store.partitions import missing

NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(1, 90)), max_size=6),
    st.integers(-200, 100),
    st.integers(0, 300),
    st.integers(1, 120),
)
def test_missing_ranges_close_every_hole_and_overlap_nothing(
    given_spans: list[tuple[int, int]], begin: int, length: int, width: int
) -> None:
    taken: list[tuple[datetime, datetime]] = []
    for start, size in sorted(given_spans):
        span = (NOW + minutes(start), NOW + minutes(start + size))
        if not taken or span[0] >= taken[-1][1]:
            taken.append(span)
    start, end = NOW + minutes(begin), NOW + minutes(begin + length)
    made = missing(taken, start, end, minutes(width))
    everything = sorted([*taken, *made])
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(everything))
    assert all(a < b <= a + minutes(width) for a, b in made)
    at = start
    for low, high in everything:
        if low <= at < high:
            at = high
    assert at >= end
