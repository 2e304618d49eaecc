"""Shift patterns: text for people, a dictionary in the database."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.shifts import NotShifts, parse_shifts, write_shifts

clocks = st.integers(0, 24 * 60).map(lambda minutes: f"{minutes // 60:02d}:{minutes % 60:02d}")
shifts = st.fixed_dictionaries(
    {
        "days": st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True).map(sorted),
        "start": clocks,
        "end": clocks,
    }
).filter(lambda shift: shift["start"] != shift["end"])
patterns = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(["Asia/Shanghai", "UTC", "Europe/Berlin"]),
        "shifts": st.lists(shifts, min_size=1, max_size=3),
    }
)


@given(patterns)
def test_a_pattern_written_as_text_is_read_as_the_same(pattern: dict[str, Any]) -> None:
    assert parse_shifts(write_shifts(pattern)) == pattern
    assert parse_shifts(pattern) == pattern


def test_days_may_be_ranges_and_the_semicolon_may_be_full_width() -> None:
    assert parse_shifts("1-3,5 8:00-20:00； 6 20:00-06:00")["shifts"] == [
        {"days": [1, 2, 3, 5], "start": "08:00", "end": "20:00"},
        {"days": [6], "start": "20:00", "end": "06:00"},
    ]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "1-5",
        "8 08:00-09:00",
        "5-1 08:00-09:00",
        "1 25:00-26:00",
        "1 08:60-09:00",
        "1 08:00-08:00",
        "Mars/Base | 1 08:00-09:00",
    ],
)
def test_what_is_no_pattern_is_refused(written: str) -> None:
    with pytest.raises(NotShifts):
        parse_shifts(written)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"shifts": []},
        {"shifts": [{"days": [1], "start": "08:00"}]},
        {"shifts": [{"days": [0], "start": "1:00", "end": "2:00"}]},
        {"zone": 1, "shifts": []},
    ],
)
def test_a_dictionary_that_is_no_pattern_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(NotShifts):
        parse_shifts(written)
