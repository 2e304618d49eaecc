"""A watch gives, to the microsecond, the states that the definition gives, wherever batches are cut."""

from dataclasses import dataclass

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from muster.events import Event
from muster.presence import State, Transition
from muster.scans import NULL, How, Scans
from muster.watch import Watch
from tests.scan_builder import ScanBuilder
from tests.unit.muster.watching import (
    DEVICES,
    EVENTS,
    SCANS,
    SINCE,
    WINDOW,
    Input,
    batch,
    changes_of,
    clock,
    many,
    started,
)

__all__ = ["many"]
INPUTS = st.lists(
    st.builds(
        Input,
        at=st.integers(0, 150).map(lambda n: SINCE + 2 * n),
        device=st.sampled_from(DEVICES),
        kind=st.sampled_from(SCANS * 2 + EVENTS),
    ),
    max_size=25,
).map(lambda inputs: sorted(inputs, key=lambda item: item.at))


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
