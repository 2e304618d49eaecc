"""Which minutes are rolled up again: the present ones whole, past ones by device while they are few."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.writes import FEW, MINUTE_US, due_minutes
from muster.clock import EARLIEST_US, LATEST_US

NOW = 1_700_000_000_000_000

TIMES = st.one_of(st.integers(NOW - 10 * MINUTE_US, NOW + 3 * MINUTE_US), st.integers(EARLIEST_US, LATEST_US))


@given(st.lists(st.tuples(TIMES, st.integers(1, 2**31 - 1)), max_size=40))
def test_every_minute_that_a_scan_came_into_is_due_once(scans: list[tuple[int, int]]) -> None:
    time = np.array([at for at, _ in scans], np.int64)
    device = np.array([number for _, number in scans], np.int32)
    minutes, devices = due_minutes(time, device, NOW)
    marks = list(zip(minutes, devices, strict=True))
    assert len(set(marks)) == len(marks)
    assert {minute for minute, _ in marks} == {at // MINUTE_US * MINUTE_US for at, _ in scans}
    for at, number in scans:
        minute = at // MINUTE_US * MINUTE_US
        assert (minute, 0) in marks or (minute, number) in marks
        assert not ((minute, 0) in marks and (minute, number) in marks)


def test_many_devices_of_a_past_minute_mark_their_partition() -> None:
    past = np.full(FEW + 1, NOW - 60 * MINUTE_US)
    numbers = np.arange(1, FEW + 2, dtype=np.int32)
    assert due_minutes(past, numbers, NOW)[1] == [0]
    assert due_minutes(past[1:], numbers[1:], NOW)[1] == numbers[1:].tolist()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(1, 12)),
        max_size=6,
    )
)
def test_a_past_minute_is_marked_whole_just_when_many_devices_came_into_it(
    runs: list[tuple[int, int, int]],
) -> None:
    scans = [(minute, device) for minute, first, count in runs for device in range(first, first + count)]
    time = np.array([NOW - (60 + minute) * MINUTE_US for minute, _ in scans], np.int64)
    devices_of: dict[int, set[int]] = {}
    for at, (_, device) in zip(time.tolist(), scans, strict=True):
        devices_of.setdefault(at // MINUTE_US * MINUTE_US, set()).add(device)
    marks = due_minutes(time, np.array([device for _, device in scans], np.int32), NOW)
    assert sorted(zip(*marks, strict=True)) == sorted(
        (minute, one) for minute, of in devices_of.items() for one in (of if len(of) <= FEW else {0})
    )
