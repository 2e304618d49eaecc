"""Single things that a watch must know: histories, clocks, errors, resumed and changed watches."""

import msgspec
import numpy as np
import pytest

from muster.errors import IntegrityError
from muster.events import Event
from muster.presence import Definition, State, fresh
from muster.scans import NULL, How, Scans
from muster.watch import Watch
from tests.scan_builder import ScanBuilder
from tests.unit.muster.watching import (
    DEVICES,
    HOUR,
    SINCE,
    WINDOW,
    Input,
    batch,
    changes_of,
    clock,
    columns,
    many,
    started,
)

__all__ = ["many"]


def test_history_is_no_answer() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 5, 3, "history")], SINCE + 10)
    assert watch.state_of(3) == State.UNOBSERVED
    batch(watch, [Input(SINCE + 12, 3, "session_up"), Input(SINCE + 15, 3, "history")], SINCE + 20)
    assert watch.state_of(3) == State.LINKED


def test_a_missing_value_does_not_connect_whatever_its_quality_says() -> None:
    watch = started()
    builder = ScanBuilder()
    builder.add(3, SINCE + 1, SINCE + 1, 1, np.array([NULL]), None, How.SOLICITED)
    scans = builder.build()
    watch.advance(scans, [], SINCE + 2)
    assert watch.state_of(3) == State.RESPONDING


def test_a_solicited_answer_is_fresh_whatever_its_source_time() -> None:
    builder = ScanBuilder()
    builder.add(3, 0, SINCE, 1, np.array([1.0]), None, How.SOLICITED)
    builder.add(3, 0, SINCE, 1, np.array([1.0]), None, How.UNSOLICITED)
    builder.add(3, SINCE - WINDOW, SINCE, 1, np.array([1.0]), None, How.UNSOLICITED)
    scans = builder.build()
    windows, offsets = np.full(3, WINDOW), np.zeros(3, np.int64)
    assert fresh(scans, windows, offsets).tolist() == [True, False, True]


def test_a_notification_s_source_time_is_corrected_by_the_clock_offset() -> None:
    builder = ScanBuilder()
    builder.add(3, SINCE - 1000, SINCE, 1, np.array([1.0]), None, How.UNSOLICITED)
    scans = builder.build()
    assert fresh(scans, np.array([WINDOW]), np.array([0])).tolist() == [False]
    assert fresh(scans, np.array([WINDOW]), np.array([-1000])).tolist() == [True]


def said_by_a_slow_clock(at: int) -> Scans:
    """A notification whose source's clock is an hour behind ours."""
    builder = ScanBuilder()
    builder.add(3, at - HOUR, at, 1, np.array([1.0]), None, How.UNSOLICITED)
    return builder.build()


def test_a_device_whose_clock_is_known_to_be_slow_is_connected() -> None:
    watch = started()
    watch.advance(said_by_a_slow_clock(SINCE + 5), [clock(SINCE + 3, -HOUR)], SINCE + 6)
    assert watch.state_of(3) is State.CONNECTED


def test_an_offset_holds_for_what_is_received_after_it_was_measured() -> None:
    watch = started()
    watch.advance(said_by_a_slow_clock(SINCE + 2), [clock(SINCE + 3, -HOUR)], SINCE + 6)
    assert watch.state_of(3) is State.RESPONDING
    again = Watch.from_bytes(watch.to_bytes())
    for one in (watch, again, watch.resume(SINCE + 6)[0]):
        one.advance(said_by_a_slow_clock(SINCE + 8), [], SINCE + 9)
        assert one.state_of(3) is State.CONNECTED


def test_a_clock_that_goes_ahead_is_allowed_for_among_steady_devices_too() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 1, 3, "good")], SINCE + 2)
    watch.advance(Scans.empty(), [clock(SINCE + 3, 2 * WINDOW)], SINCE + 3)
    builder = ScanBuilder()
    builder.add(3, SINCE + 5, SINCE + 5, 1, np.array([1.0]), None, How.UNSOLICITED)
    watch.advance(builder.build(), [], SINCE + 6)
    batch(watch, [], SINCE + 1 + WINDOW + 1)
    assert watch.state_of(3) is State.RESPONDING


def test_a_memory_written_before_clocks_were_kept_is_understood() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 1, 3, "good")], SINCE + 2)
    memory = msgspec.msgpack.decode(watch.to_bytes())
    del memory["columns"]["offset"]
    assert Watch.from_bytes(msgspec.msgpack.encode(memory)).state_of(3) is State.CONNECTED


def test_the_reason_of_an_error_is_forgotten_when_a_value_comes() -> None:
    watch = started()
    scans, _ = columns([Input(SINCE + 1, 3, "good")])
    event = Event("error", 3, SINCE + 2, reason="timeout")
    watch.advance(scans, [event], SINCE + 3)
    batch(watch, [Input(SINCE + 5, 3, "good")], SINCE + 6)
    (expired,) = [t for t in batch(watch, [], SINCE + 200) if t.device == 3]
    assert (expired.at, expired.reason) == (SINCE + 5 + WINDOW, "value-expired")


def test_the_last_error_is_why_a_device_is_no_longer_connected() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 1, 3, "good")], SINCE + 2)
    watch.advance(Scans.empty(), [Event("error", 3, SINCE + 9, reason="timeout")], SINCE + 9)
    (expired,) = [t for t in batch(watch, [], SINCE + 200) if t.device == 3]
    assert (expired.state, expired.reason) == (State.OFFLINE, "timeout")


def test_a_device_watched_for_a_whole_window_without_a_sign_is_offline() -> None:
    found = batch(started(), [], SINCE + WINDOW)
    assert found == []
    watch = started()
    found = batch(watch, [], SINCE + WINDOW + 1)
    assert {(t.device, t.at, t.state, t.reason) for t in found} == {
        (device, SINCE + WINDOW, State.OFFLINE, "never-answered") for device in DEVICES
    }


def test_an_arrival_before_what_was_already_told_does_not_rewrite_it() -> None:
    watch = started()
    told = batch(watch, [Input(SINCE + 1, 3, "good")], SINCE + 100)
    late = batch(watch, [Input(SINCE + 30, 3, "good")], SINCE + 110)
    assert all(t.at > max(at for at, _ in changes_of(told, 3)) for t in late if t.device == 3)


def test_a_received_time_in_the_future_makes_no_device_connected_beyond_its_window() -> None:
    watch = started()
    scans, _ = columns([Input(SINCE + 10**9, 3, "good")])
    watch.advance(scans, [], SINCE + 10)
    batch(watch, [], SINCE + 10 + WINDOW + 1)
    assert watch.state_of(3) < State.CONNECTED


def test_a_resumed_watch_keeps_sessions_but_nothing_fresh() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 1, 3, "session_up"), Input(SINCE + 2, 3, "good")], SINCE + 3)
    resumed, begun = watch.resume(SINCE + 50)
    assert [(t.device, t.at, t.state) for t in begun] == [(3, SINCE + 50, State.LINKED)]
    assert resumed.state_of(7) == State.UNOBSERVED


def test_released_devices_are_unobserved_from_the_end_of_the_watch() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 2, 3, "good")], SINCE + 3)
    (gone,) = watch.release(np.array([3, 99], np.int32))
    assert (gone.device, gone.at, gone.state, gone.reason) == (3, SINCE + 3, State.UNOBSERVED, "removed")
    assert [t.device for t in batch(watch, [], SINCE + 500)] == [7]


def test_a_changed_window_holds_from_now_on() -> None:
    watch = started()
    batch(watch, [Input(SINCE + 1, 3, "good")], SINCE + 2)
    assert watch.keep(np.array([3], np.int32), np.array([400]))
    assert not watch.keep(np.array([3], np.int32), np.array([400]))
    batch(watch, [], SINCE + 300)
    assert watch.state_of(3) == State.CONNECTED


def test_damaged_bytes_are_refused() -> None:
    with pytest.raises(IntegrityError):
        Watch.from_bytes(b"\x00nonsense")


@pytest.mark.parametrize(
    ("interval_s", "window_s"), [(1.0, 10.0), (5.0, 15.0), (900.0, 2700.0), (7200.0, 3600.0)]
)
def test_the_window_is_three_intervals_within_its_limits(interval_s: float, window_s: float) -> None:
    assert Definition().window_us(interval_s) == round(window_s * 1_000_000)
