"""The machines' physics."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from simulators.machines.furnaces import ArcFurnaces, HeatingFurnaces
from simulators.machines.handling import TWO_SHIFTS, Robots
from simulators.machines.kinds import KINDS
from simulators.machines.meters import Meters
from simulators.machines.mills import BallMills
from simulators.machines.physics import ON_SHIFT_HOURS, Machines, Moment, Values
from simulators.machines.points import Kind
from simulators.machines.rotating import Compressors, Pumps
from simulators.machines.vessels import Reactors

N = 24


def chance() -> np.random.Generator:
    return np.random.default_rng(7)


def settings_of(kind: Kind, **changed: float) -> dict[str, Values]:
    return {point.name: np.full(N, changed.get(point.name, point.initial)) for point in kind.settings}


def work(
    machines: Machines, settings: Mapping[str, Values], seconds: int, dt_s: float = 1.0, hour: float = 10.0
) -> dict[str, Values]:
    values: dict[str, Values] = {}
    for _ in range(int(seconds / dt_s)):
        values = machines.step(Moment(dt_s, hour, np.full(machines.n, 80.0)), settings)
    return values


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_every_value_is_a_number_within_its_tags_limits_all_day(kind: Kind) -> None:
    machines = kind.create(N, chance())
    measured = [point for point in kind.points if not point.writable]
    for tenth in range(3 * 240):
        moment = Moment(20.0, tenth / 10.0 % 24.0, np.full(N, 80.0))
        values = machines.step(moment, settings_of(kind))
        assert set(values) == {point.name for point in measured}
        for point in measured:
            found = np.asarray(values[point.name], np.float64)
            assert found.shape == (N,)
            assert np.isfinite(found).all(), point.name
            assert point.low is None or (found >= point.low - 1e-6).all(), point.name
            assert point.high is None or (found <= point.high + 1e-6).all(), point.name
        assert (machines.power_kw >= 0.0).all()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_the_same_seed_gives_the_same_day(kind: Kind) -> None:
    first, second = (work(kind.create(N, chance()), settings_of(kind), 300) for _ in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.settings], ids=lambda kind: kind.code
)
def test_a_stopped_machine_draws_little_and_its_values_stand_still(kind: Kind) -> None:
    machines = kind.create(N, chance())
    running = settings_of(kind)
    work(machines, running, 7200, 20.0)
    stopped = settings_of(kind, start=0.0)
    settled = work(machines, stopped, 200_000, 100.0)
    idle = {name: np.array(values, np.float32) for name, values in settled.items()}
    later = work(machines, stopped, 30)
    for name, values in later.items():
        np.testing.assert_allclose(
            np.array(values, np.float32), idle[name], rtol=1e-6, atol=1e-6, err_msg=name
        )
    assert machines.power_kw.max() <= 1.3  # an AGV on its charger at most


def test_pumps_follow_the_affinity_laws() -> None:
    kind = KINDS["sim-pump"]
    full, part = (
        work(Pumps(N, chance()), settings_of(kind, speed_setpoint=percent), 30) for percent in (100.0, 80.0)
    )
    np.testing.assert_allclose(part["speed"] / full["speed"], 0.8, atol=0.01)
    assert (part["flow"] < 0.82 * full["flow"]).all()  # static head: flow falls faster than speed
    assert (part["power"] < 0.66 * full["power"]).all()  # about the cube
    assert (part["power"] > 0.3 * full["power"]).all()
    assert (part["vibration"] < full["vibration"]).mean() > 0.9


def test_a_pumps_bearing_warms_over_minutes_not_at_once() -> None:
    kind = KINDS["sim-pump"]
    machines = Pumps(N, chance())
    cold = work(machines, settings_of(kind, start=0.0), 5)["bearing_temperature"].copy()
    soon = work(machines, settings_of(kind), 60)["bearing_temperature"].copy()
    warm = work(machines, settings_of(kind), 3600, 10.0)["bearing_temperature"]
    assert (soon - cold < 4.0).all()
    assert (warm - cold > 10.0).all()


def test_compressors_hold_the_pressure_they_are_given() -> None:
    kind = KINDS["sim-compressor"]
    for wanted in (0.58, 0.78):
        machines = Compressors(N, chance())
        settings = settings_of(kind, pressure_setpoint=wanted)
        work(machines, settings, 600)
        found = np.array([work(machines, settings, 1)["discharge_pressure"] for _ in range(200)])
        assert abs(found.mean() - wanted) < 0.03
        assert found.std() < 0.05


def test_heating_furnaces_come_to_their_temperature() -> None:
    kind = KINDS["sim-heating-furnace"]
    machines = HeatingFurnaces(N, chance())
    values = work(machines, settings_of(kind, temperature_setpoint=1120.0), 6 * 3600, 10.0)
    assert np.abs(values["zone_3_temperature"] - 1120.0).max() < 25.0
    assert (values["zone_1_temperature"] < values["zone_3_temperature"]).all()


def test_an_arc_furnace_draws_power_only_while_it_melts_and_refines() -> None:
    kind = KINDS["sim-arc-furnace"]
    machines = ArcFurnaces(N, chance())
    for _ in range(300):
        values = machines.step(Moment(10.0, 10.0), settings_of(kind))
        arcing = np.isin(values["phase"], (1, 2))
        assert ((values["active_power"] > 0) == arcing).all()
        assert ((values["electrode_1_current"] > 0) <= arcing).all()


def test_a_reactor_heats_reacts_and_cools_in_order() -> None:
    machines = Reactors(N, chance())
    settings = settings_of(KINDS["sim-reactor"])
    seen = [np.array(machines.step(Moment(20.0, 10.0), settings)["phase"]) for _ in range(900)]
    for before, after in pairwise(seen):
        assert np.isin((after - before) % 5, (0, 1)).all()
    assert {int(phase) for phases in seen for phase in phases} == {0, 1, 2, 3, 4}


def test_an_overfed_mill_is_fuller_and_quieter() -> None:
    kind = KINDS["sim-ball-mill"]
    usual, overfed = (
        work(BallMills(N, chance()), settings_of(kind, feed_setpoint=percent), 7200, 10.0)
        for percent in (90.0, 120.0)
    )
    assert overfed["filling"].mean() > usual["filling"].mean()
    assert overfed["sound_level"].mean() < usual["sound_level"].mean()


def test_robots_of_two_shifts_hold_still_at_night() -> None:
    kind = KINDS["sim-robot"]
    machines = Robots(200, chance())
    settings = {point.name: np.full(200, point.initial) for point in kind.settings}
    night = work(machines, settings, 5, hour=2.0)
    joints = night["joint_1"].copy()
    later = work(machines, settings, 60, hour=2.0)
    still = later["joint_1"] == joints
    assert 0.25 < still.mean() < 0.75  # the others work around the clock
    day = work(machines, settings, 5, hour=11.0)
    assert day["running"].mean() > 0.8


def test_the_shifts_that_the_book_tells_are_those_that_are_worked() -> None:
    shifts = TWO_SHIFTS["shifts"]
    assert isinstance(shifts, list)
    hours = [float(shift[side].split(":")[0]) for shift in shifts for side in ("start", "end")]
    assert (min(hours), max(hours)) == ON_SHIFT_HOURS


def test_meters_see_what_their_feeder_carries() -> None:
    low, high = (
        Meters(N, chance()).step(Moment(1.0, 10.0, np.full(N, kw)), {})["active_power"] for kw in (0.0, 500.0)
    )
    assert (np.abs(high - low - 500.0) < 60.0).all()


def test_meters_never_count_backwards_and_share_one_frequency() -> None:
    machines = Meters(N, chance())
    before = work(machines, {}, 1)["active_energy"].copy()
    after = work(machines, {}, 3600, 10.0)
    assert (after["active_energy"] - before > 60.0).all()
    assert np.ptp(after["frequency"]) == 0.0
    apparent = sum(after[f"voltage_{phase}"] * after[f"current_{phase}"] for phase in "abc") / 1000.0
    np.testing.assert_allclose(apparent * after["power_factor"], after["active_power"], rtol=1e-9)
