"""A watch gives, to the microsecond, the states that the definition gives, wherever batches are cut."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muster import watch
from muster.errors import IntegrityError
from muster.events import Event
from muster.presence import Definition, State, Transition, fresh
from muster.scans import NULL, How, Scans
from muster.watch import Watch
from tests.scan_builder import ScanBuilder

SINCE = 1_000_000
HOUR = 3_600_000_000
WINDOW = 40
DEVICES = (3, 7)


@dataclass(frozen=True)
class Input:
    """One thing that arrives: a scan (`good`, `bad`, `stale`, `history`) or an event."""

    at: int
    device: int
    kind: str


SCANS = ("good", "bad", "stale", "history")
EVENTS = ("session_up", "session_down", "answer", "error", "removed")
INPUTS = st.lists(
    st.builds(
        Input,
        at=st.integers(0, 150).map(lambda n: SINCE + 2 * n),
        device=st.sampled_from(DEVICES),
        kind=st.sampled_from(SCANS * 2 + EVENTS),
    ),
    max_size=25,
).map(lambda inputs: sorted(inputs, key=lambda item: item.at))


def columns(inputs: list[Input]) -> tuple[Scans, list[Event]]:
    builder = ScanBuilder()
    events: list[Event] = []
    for item in inputs:
        if item.kind in EVENTS:
            events.append(Event(item.kind, item.device, item.at, reason=""))  # type: ignore[arg-type]
            continue
        how = {"history": How.HISTORY, "stale": How.UNSOLICITED}.get(item.kind, How.SOLICITED)
        source = item.at - WINDOW - 1 if item.kind == "stale" else item.at
        quality = np.array([200], np.int16) if item.kind == "bad" else None
        builder.add(item.device, source, item.at, 1, np.array([1.0]), quality, how)
    return builder.build(), events


def batch(watch: Watch, inputs: list[Input], until: int) -> list[Transition]:
    scans, events = columns(inputs)
    return watch.advance(scans, events, until)


@pytest.fixture(autouse=True, params=[1, 16], ids=["together", "one by one"], scope="module")
def many(request: pytest.FixtureRequest) -> Iterator[None]:
    """Connect devices together, or as few as these one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_MANY", request.param)
        yield


def started() -> Watch:
    watch = Watch(SINCE)
    watch.keep(np.array(DEVICES, np.int32), np.full(len(DEVICES), WINDOW))
    return watch


def state_at(inputs: list[Input], at: int) -> State:
    """The definition, slowly: everything up to and including `at`, then what still holds."""
    good = answer = -(10**9)
    session = gone = seen = False
    kept = SINCE
    ordered = sorted((i for i in inputs if i.at <= at), key=lambda i: (i.at, i.kind in EVENTS))
    for item in ordered:
        if item.kind == "history":
            continue
        if item.kind == "removed":
            good = answer = -(10**9)
            session, gone, seen = False, True, False
            continue
        if gone:
            gone, kept = False, item.at
        seen = True
        if item.kind in ("good", "bad", "stale", "answer"):
            answer = item.at
        if item.kind == "good":
            good = item.at
        if item.kind == "session_up":
            session = True
        if item.kind == "session_down":
            session = False
    if gone or not (seen or at >= kept + WINDOW):
        return State.UNOBSERVED
    if at < good + WINDOW:
        return State.CONNECTED
    if at < answer + WINDOW:
        return State.RESPONDING
    return State.LINKED if session else State.OFFLINE


def by_definition(inputs: list[Input], device: int, until: int) -> list[tuple[int, State]]:
    mine = [item for item in inputs if item.device == device]
    instants = {item.at for item in mine} | {
        end for item in mine for end in [item.at + WINDOW] if end < until
    }
    if until > SINCE + WINDOW:
        instants.add(SINCE + WINDOW)
    changes: list[tuple[int, State]] = []
    state = State.UNOBSERVED
    for at in sorted(instants):
        now = state_at(mine, at)
        if now != state:
            changes.append((at, now))
            state = now
    return changes


def changes_of(transitions: list[Transition], device: int) -> list[tuple[int, State]]:
    return [(t.at, t.state) for t in transitions if t.device == device]


def cut_at(inputs: list[Input], cuts: list[int]) -> list[Transition]:
    watch, found, rest = started(), [], inputs
    for cut in [*cuts, SINCE + 501]:
        found += batch(watch, [item for item in rest if item.at <= cut], cut)
        rest = [item for item in rest if item.at > cut]
    return found


@given(INPUTS, st.lists(st.integers(0, 200).map(lambda n: SINCE + 2 * n + 1), max_size=6).map(sorted))
def test_states_follow_the_definition_wherever_batches_are_cut(inputs: list[Input], cuts: list[int]) -> None:
    found = cut_at(inputs, cuts)
    for device in DEVICES:
        assert changes_of(found, device) == by_definition(inputs, device, SINCE + 501)


@given(INPUTS, st.lists(st.integers(SINCE, SINCE + 400), max_size=6).map(sorted))
def test_a_cut_at_the_very_instant_of_a_change_loses_nothing(inputs: list[Input], cuts: list[int]) -> None:
    found = cut_at(inputs, cuts)
    for device in DEVICES:
        changes = changes_of(found, device)
        due = by_definition(inputs, device, SINCE + 501)
        assert (changes[-1][1] if changes else None) == (due[-1][1] if due else None)
        for (
            at,
            state,
        ) in due:  # told at that instant, or one microsecond later when the instant was already told
            assert any(state == s and at <= t <= at + 3 for t, s in changes)


@given(INPUTS)
@example([Input(SINCE, 3, kind) for kind in ("good", "removed", "session_up")])
def test_one_batch_gives_exactly_the_definition(inputs: list[Input]) -> None:
    found = batch(started(), inputs, SINCE + 500)
    for device in DEVICES:
        assert changes_of(found, device) == by_definition(inputs, device, SINCE + 500)


@given(INPUTS, st.integers(SINCE, SINCE + 400))
def test_a_watch_restored_from_bytes_goes_on_exactly(inputs: list[Input], cut: int) -> None:
    one, other = started(), started()
    early = [item for item in inputs if item.at <= cut]
    late = [item for item in inputs if item.at > cut]
    batch(one, early, cut)
    batch(other, early, cut)
    restored = Watch.from_bytes(one.to_bytes())
    assert batch(restored, late, SINCE + 500) == batch(other, late, SINCE + 500)
    assert restored.to_bytes() == other.to_bytes()


@given(INPUTS)
def test_no_device_has_two_transitions_at_one_instant(inputs: list[Input]) -> None:
    found = batch(started(), inputs, SINCE + 500)
    assert len({(t.device, t.at) for t in found}) == len(found)
    assert [t.at for t in found] == sorted(t.at for t in found)


class Slow(Watch):
    """A watch that looks at each arrival singly, however steady all of them are."""

    def _stay(self, scans: Scans, until_us: int) -> bool:
        return False


@dataclass(frozen=True)
class Step:
    """A batch that ends `after` the one before, with everything in it told by when before or after its end.

    scans: device, source time, receive time, quality, how, value; events: kind, time.
    """

    after: int
    scans: list[tuple[int, int, int, int, How, float]]
    events: list[tuple[str, int]]
    window: int | None
    released: int | None


AGO = st.integers(-60, 10)
STEADY = st.builds(
    lambda devices, time, how: [(device, time, -1, 0, how, 1.0) for device in devices],
    st.sampled_from((DEVICES, DEVICES, (3,), (*DEVICES, 99))),
    st.sampled_from((-1, -1, -30, -60)),
    st.sampled_from((How.SOLICITED, How.SOLICITED, How.UNSOLICITED)),
)
STEPS = st.lists(
    st.builds(
        Step,
        after=st.integers(0, 50),
        scans=STEADY
        | STEADY
        | st.lists(
            st.tuples(
                st.sampled_from((*DEVICES, 99)),
                AGO,
                AGO,
                st.sampled_from((0, 0, 0, 200)),
                st.sampled_from((How.SOLICITED, How.SOLICITED, How.UNSOLICITED, How.HISTORY)),
                st.sampled_from((1.0, 1.0, NULL)),
            ),
            max_size=4,
        ),
        events=st.just([])
        | st.just([])
        | st.lists(st.tuples(st.sampled_from((*EVENTS, "clock")), AGO), max_size=2),
        window=st.sampled_from((None, None, None, 5, 60)),
        released=st.sampled_from((None, None, None, None, 3, 99)),
    ),
    max_size=10,
)


def happened(kind: str, at: int) -> Event:
    return (
        clock(at, 30 if at % 3 else -30)
        if kind == "clock"
        else Event(kind, 3, at, reason="timeout" * (at % 2))
    )  # type: ignore[arg-type]


@given(STEPS)
def test_steady_devices_taken_up_together_stand_where_they_would_singly(steps: list[Step]) -> None:
    watches, until = [Watch(SINCE), Slow(SINCE)], SINCE
    for each in watches:
        each.keep(np.array(DEVICES, np.int32), np.full(len(DEVICES), WINDOW))
        batch(each, [Input(SINCE, device, "good") for device in DEVICES], SINCE)
    for step in steps:
        until += step.after
        builder = ScanBuilder()
        for device, time, received, quality, how, value in step.scans:
            judged = np.array([quality], np.int16) if quality else None
            builder.add(device, until + time, until + received, 1, np.array([value]), judged, how)
        scans, events = builder.build(), [happened(kind, until + at) for kind, at in step.events]
        told = [each.advance(scans, events, until) for each in watches]
        for number, each in enumerate(watches):
            if step.window is not None:
                each.keep(np.array([7], np.int32), np.array([step.window]))
            if step.released is not None:
                told[number] += each.release(np.array([step.released], np.int32))
        assert told[0] == told[1]
        assert watches[0].to_bytes() == watches[1].to_bytes()


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


def clock(at: int, offset_us: int) -> Event:
    return Event("clock", 3, at, detail={"offset_us": offset_us, "accuracy_us": 1000})


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
