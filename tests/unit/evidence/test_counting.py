"""The pure core of counting: who counts, when somebody watched, the count over time."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from evidence.counting.count import count, frame, reasons
from evidence.counting.coverage import Cover, Watch, covers
from evidence.counting.devices import DeviceAt
from evidence.counting.timeline import DaysRule, Stretches, lasting, observed_share, series, steps, window
from muster.device import Origin
from muster.presence import State

MINUTE = 60_000_000
LEASE = 10


def device(number: int = 1, **facts: object) -> DeviceAt:
    usual: dict[str, object] = {
        "code": "d",
        "name": "",
        "enterprise": "e",
        "industry": "",
        "device_class": "operating",
        "consumes_energy": True,
        "protocol": "modbus",
        "origin": Origin.REAL,
        "state": State.CONNECTED,
        "reason": "value",
        "since": None,
    }
    return DeviceAt(device=number, **{**usual, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("energy", [True, False])
def test_a_device_counts_iff_connected_energy_consuming_and_for_the_official_count_real(
    origin: Origin, state: State, energy: bool
) -> None:
    each = device(origin=origin, state=state, consumes_energy=energy)
    connected = state == State.CONNECTED and energy
    assert (reasons(each, "rehearsal") == ()) == connected
    assert (reasons(each, "official") == ()) == (connected and origin == Origin.REAL)


def test_every_device_of_the_frame_is_counted_or_excluded_with_its_reasons() -> None:
    devices = [
        device(1),
        device(2, origin=Origin.SIMULATED),
        device(3, state=State.UNOBSERVED, origin=Origin.UNKNOWN, consumes_energy=False),
    ]
    official = count(devices, "official", {"modbus": "Modbus"})
    assert official.connected == 1
    assert official.by_protocol == {"Modbus": 1}
    assert [(each.device.device, each.reasons) for each in official.excluded] == [
        (2, ("excluded.origin-simulated",)),
        (3, ("excluded.not-energy-consuming", "excluded.unobserved", "excluded.origin-unknown")),
    ]
    assert frame(devices).connected_by_origin == {"real": 1, "unknown": 0, "replayed": 0, "simulated": 1}
    assert count(devices, "rehearsal", {}).by_protocol == {"modbus": 2}


def watch(id_: int, start: int, end: int, recorded: int, **facts: bool) -> Watch:
    return Watch(
        id_, id_, 1, 0, start, end, start, recorded, facts.get("live", True), facts.get("ended", False)
    )


def test_a_live_watch_is_believed_until_its_lease_has_run_out() -> None:
    rows = [watch(1, 0, 100, 102)]
    assert covers(rows, 112, LEASE, 0, 200) == [Cover(1, 0, 1, 0, 113)]
    assert covers(rows, 113, LEASE, 0, 200) == [Cover(1, 0, 1, 0, 101)]


def test_a_gateway_that_said_it_stops_is_believed_until_it_was_heard() -> None:
    rows = [watch(1, 0, 100, 102, ended=True)]
    assert covers(rows, 101, LEASE, 0, 200) == [Cover(1, 0, 1, 0, 102)]
    assert covers(rows, 102, LEASE, 0, 200) == [Cover(1, 0, 1, 0, 101)]


def test_of_two_watches_the_one_that_began_last_decides_and_the_other_goes_on_after_it() -> None:
    rows = [watch(1, 0, 100, 500, live=False), watch(2, 20, 30, 500, live=False)]
    assert covers(rows, 1000, LEASE, 0, 200) == [
        Cover(1, 0, 1, 0, 20),
        Cover(1, 0, 2, 20, 31),
        Cover(1, 0, 1, 31, 101),
    ]


def test_what_was_recorded_later_is_not_known_yet() -> None:
    late = Watch(2, 1, 1, 0, 101, 200, 900, 900, False, False)
    assert covers([watch(1, 0, 100, 102), late], 899, LEASE, 0, 300) == [Cover(1, 0, 1, 0, 101)]
    assert covers([watch(1, 0, 100, 102), late], 900, LEASE, 0, 300) == [Cover(1, 0, 1, 0, 201)]


def stretches(*rows: tuple[int, int, int, bool]) -> Stretches:
    """Rows of (device, start, end, whether it is a stretch of the frame); the others are connected and real."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    is_frame = table[:, 3] == 1
    return Stretches(
        table[:, 0].astype(np.int32), table[:, 1], table[:, 2], is_frame, ~is_frame, ~is_frame, ~is_frame
    )


intervals = some.lists(
    some.tuples(some.integers(-20, 120), some.integers(-20, 120)).map(lambda ends: (min(ends), max(ends))),
    max_size=12,
)


@given(intervals)
def test_a_step_function_holds_how_many_intervals_hold_each_instant(spans: list[tuple[int, int]]) -> None:
    start = np.array([s for s, _ in spans], np.int64)
    end = np.array([e for _, e in spans], np.int64)
    function = steps(start, end, 0, 100)
    for instant in range(100):
        assert function.at(np.array([instant]))[0] == sum(s <= instant < e for s, e in spans)
    assert function.lasted.sum() == 100


@given(intervals, some.integers(1, 30))
def test_window_and_series_agree_with_every_single_instant(spans: list[tuple[int, int]], step: int) -> None:
    found = stretches(*((number, s, e, False) for number, (s, e) in enumerate(spans)), (99, 0, 100, True))
    counts = [sum(s <= instant < e for s, e in spans) for instant in range(100)]
    said = window(found, "official", 0, 100)
    assert said.minimum == min(counts)
    assert said.median == sorted(counts)[49]
    assert said.p5 == sorted(counts)[4]
    sampled = series(found, 0, 100, step)
    assert sampled.official.tolist() == counts[::step]
    assert sampled.rehearsal_min.tolist() == [min(counts[i : i + step]) for i in range(0, 100, step)]
    assert set(sampled.frame.tolist()) == {1}


def test_time_without_any_device_counts_as_unobserved() -> None:
    assert observed_share(stretches(), 0, 100) == 0.0
    assert observed_share(stretches((1, 50, 100, True), (1, 50, 100, False)), 0, 100) == 0.5
    half = stretches((1, 0, 100, True), (2, 0, 100, True), (1, 0, 100, False))
    assert observed_share(half, 0, 100) == 0.5


def test_a_device_lasts_when_it_was_connected_long_enough_on_enough_days() -> None:
    rule = DaysRule(minutes=10, least=2, of_days=3, time_zone="Asia/Shanghai")
    at = datetime(2026, 11, 23, 15, 59, tzinfo=UTC)  # 23:59 in Shanghai
    midnights = rule.bounds(at).tolist()
    assert [str(day) for day in rule.days(at)] == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert midnights[0] == int(datetime(2026, 11, 20, 16, tzinfo=UTC).timestamp() * 1e6)
    over_midnight = (midnights[1] - 10 * MINUTE, midnights[1] + 10 * MINUTE)
    one_day = (midnights[1], midnights[1] + 600 * MINUTE)
    in_pieces = [
        (midnights[n] + m * MINUTE, midnights[n] + (m + 1) * MINUTE) for n in (0, 2) for m in range(0, 20, 2)
    ]
    too_short = (midnights[1] - 9 * MINUTE, midnights[1] + 10 * MINUTE)
    found = stretches(
        (1, *over_midnight, False),
        (2, *one_day, False),
        *((3, *piece, False) for piece in in_pieces),
        (4, *too_short, False),
    )
    assert lasting(found, "official", rule, at) == 2
    assert lasting(found.only({2, 3, 4}), "official", rule, at) == 1
    assert lasting(stretches(), "official", rule, at) == 0
