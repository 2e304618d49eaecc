"""Instants, durations, spans and cursors as parameters."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api.moments import asked, read_duration, read_moment, span
from api.paging import pack, unpack
from api.problems import FieldProblem

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@given(some.datetimes(min_value=datetime(1970, 1, 3), max_value=datetime(9998, 1, 1)), some.integers(-14, 14))  # noqa: DTZ001
def test_an_instant_is_read_in_any_zone_and_kept_in_utc(local: datetime, hours: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(hours=hours)))
    read = read_moment(moment.isoformat())
    assert read == moment
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23", "2026-11-23T08:00:00", "1", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="instant"):
        read_moment(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("0.5", 0.5)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1h", "1w", "h", "1e3", "PT1H", "99999999999999"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|above zero"):
        read_duration(text)


def test_knowledge_is_now_unless_said_and_alone_asks_for_what_was_shown() -> None:
    past, later = NOW - 2 * HOUR, NOW - HOUR
    assert (asked(None, None, NOW).at, asked(None, None, NOW).known) == (NOW, NOW)
    assert (asked(past, None, NOW).at, asked(past, None, NOW).known) == (past, NOW)
    assert (asked(past, later, NOW).at, asked(past, later, NOW).known) == (past, later)
    assert (asked(None, past, NOW).at, asked(None, past, NOW).known) == (past, past)


def test_nothing_is_asked_of_the_future_or_of_earlier_knowledge() -> None:
    for at, known in ((NOW + HOUR, None), (None, NOW + HOUR), (NOW, NOW - HOUR)):
        with pytest.raises(FieldProblem):
            asked(at, known, NOW)


def test_a_span_has_a_usual_length_and_a_limit() -> None:
    assert span(None, None, NOW, HOUR, 2 * HOUR) == (NOW - HOUR, NOW)
    assert span(NOW - 2 * HOUR, None, NOW, HOUR, 2 * HOUR) == (NOW - 2 * HOUR, NOW)
    for start, end in ((NOW, NOW), (NOW, NOW - HOUR), (NOW - 3 * HOUR, NOW), (None, NOW + HOUR)):
        with pytest.raises(FieldProblem):
            span(start, end, NOW, HOUR, 2 * HOUR)


@given(some.integers(0, 2**31))
def test_a_cursor_gives_back_its_key(number: int) -> None:
    assert unpack(pack("devices", number), "devices", int) == number


@given(some.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(FieldProblem):
        unpack(text, "devices", int)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(FieldProblem, match="another list"):
        unpack(pack("gaps", 1), "devices", int)
