"""Polls are spread over their interval, keep to it without drift, and are never doubled."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.config import SLOT_S
from gateway.adapters.modbus.schedule import Schedule


def run(schedule: Schedule[int], first: int, last: int) -> list[tuple[int, int, int]]:
    """Return (slot, item, missed) of everything due slot by slot."""
    return [(slot, item, missed) for slot in range(first, last) for item, missed in schedule.due(slot)]


@pytest.mark.parametrize("numbers", [range(1, 1001), range(4, 4001, 4), range(1000, 500, -1)])
def test_a_thousand_devices_never_meet_in_one_slot(numbers: range) -> None:
    schedule: Schedule[int] = Schedule()
    for number in numbers:
        schedule.add(number, number, 1.0)
    per_slot = Counter(slot for slot, _, _ in run(schedule, 0, 20))
    assert sum(per_slot.values()) == len(numbers)
    assert max(per_slot.values()) <= len(numbers) / 20 + 3


@given(st.integers(1, 10**6), st.floats(0.05, 5.0), st.integers(0, 10_000))
def test_the_nth_poll_is_within_a_slot_of_its_instant_however_large_n(
    number: int, interval_s: float, start: int
) -> None:
    schedule: Schedule[int] = Schedule()
    run(schedule, start, start + 1)
    schedule.add(number, number, interval_s)
    slots = [slot for slot, _, _ in run(schedule, start + 1, start + 1001)]
    every = interval_s / SLOT_S
    for nth, slot in enumerate(slots):
        assert abs(slot - slots[0] - nth * every) < 1.001
    assert abs(len(slots) - 1000 / every) <= 2


def test_a_device_keeps_its_phase_over_a_restart() -> None:
    phases = []
    for _ in range(2):
        schedule: Schedule[int] = Schedule()
        schedule.add(77, 77, 1.0)
        phases.append(run(schedule, 0, 20)[0][0])
    assert phases[0] == phases[1]


@given(st.integers(1, 1000), st.integers(1, 60), st.integers(0, 300), st.integers(0, 300))
def test_devices_of_one_phase_stay_together_whenever_they_joined(
    number: int, slots: int, first: int, later: int
) -> None:
    schedule: Schedule[str] = Schedule()
    schedule.due(first)
    schedule.add(number, "early", slots * SLOT_S)
    schedule.due(first + later)
    schedule.add(number + 10**6, "other", slots * SLOT_S)
    schedule.remove(number)
    schedule.add(number, "late", slots * SLOT_S)
    due = [
        slot for slot in range(first + later + 1, first + later + 400) if ("late", 0) in schedule.due(slot)
    ]
    alone: Schedule[str] = Schedule()
    alone.add(number, "alone", slots * SLOT_S)
    assert due == [slot for slot in range(first + later + 400) if alone.due(slot) and slot > first + later]


@given(st.integers(1, 1000), st.floats(0.05, 3.0), st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_a_loop_that_was_held_up_polls_once_and_counts_what_it_missed(
    number: int, interval_s: float, steps: list[int]
) -> None:
    held: Schedule[int] = Schedule()
    punctual: Schedule[int] = Schedule()
    held.add(number, number, interval_s)
    punctual.add(number, number, interval_s)
    slot = 0
    for step in steps:
        due = [n for _, n, _ in run(punctual, slot, slot + step)]
        slot += step
        found = held.due(slot - 1)
        assert len(found) <= 1
        assert sum(1 + missed for _, missed in found) == len(due)


def test_a_device_with_a_long_interval_is_polled_early_and_again_when_asked() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.add(3, 3, 900.0)
    assert [missed for _, _, missed in run(schedule, 0, 101)] == [-1]
    schedule.again(3, 5.0)
    schedule.again(3, 5.0)
    assert [missed for _, _, missed in run(schedule, 101, 300)] == [-1]


def test_asking_again_adds_nothing_where_the_next_poll_is_near() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.add(1, 1, 1.0)
    schedule.again(1, 5.0)
    assert all(missed == 0 for _, _, missed in run(schedule, 0, 200))


def test_what_is_removed_is_due_no_more() -> None:
    schedule: Schedule[int] = Schedule()
    schedule.add(1, 1, 0.5)
    schedule.add(2, 2, 900.0)
    schedule.remove(1)
    schedule.remove(2)
    schedule.remove(3)
    assert run(schedule, 0, 20_000) == []
