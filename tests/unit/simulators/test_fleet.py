"""A fleet at work, without a socket."""

import struct

import numpy as np
import pytest

from muster.clock import ManualClock
from simulators.faults import Fault, FaultKind
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station, endpoint_count, lay_out
from simulators.machines.points import Point, from_registers
from simulators.modbus.protocol import answer

DEVICES = 150
CODES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def fleet(seed: int = 1, devices: int = DEVICES) -> Fleet:
    ports = list(range(15000, 15000 + endpoint_count(devices)))
    return Fleet(lay_out(devices, seed), "127.0.0.1", ports, seed, ManualClock(1_700_020_800_000_000))


def point_of(station: Station, name: str) -> Point:
    return next(point for point in station.kind.points if point.name == name)


def ask(fleet: Fleet, station: Station, request: bytes) -> bytes:
    unit = fleet.endpoints[station.endpoint].unit(station.unit)
    assert unit is not None
    return answer(unit, request)


def value(fleet: Fleet, station: Station, name: str) -> float:
    """Read one tag as a gateway does."""
    point = point_of(station, name)
    place = (station.window or 0) + point.register
    said = ask(fleet, station, struct.pack(">BHH", CODES[point.table], place, point.width))
    assert said[0] == CODES[point.table], said
    if point.table in ("coil", "discrete"):
        return float(said[2] & 1)
    words = np.frombuffer(said[2:], ">u2").reshape(1, -1)
    if point.bit is not None:
        return float(int(words[0, 0]) >> point.bit & 1)
    return float(from_registers(point, words, station.kind.word_order)[0])


def everything(fleet: Fleet, station: Station) -> list[float]:
    return [value(fleet, station, point.name) for point in station.kind.points]


def first(fleet: Fleet, kind: str, *, idle: bool = False) -> Station:
    return next(s for s in fleet.stations.values() if s.kind.code == kind and s.idle == idle)


def test_every_tag_of_every_device_can_be_read_where_the_plan_puts_it() -> None:
    running = fleet()
    for station in running.stations.values():
        for point in station.kind.points:
            found = value(running, station, point.name)
            assert np.isfinite(found)
            assert point.low is None or found >= point.low or point.name == "start"
            assert point.high is None or found <= point.high


def test_the_same_seed_shows_the_same_values_and_another_others() -> None:
    first_run, second_run, other = fleet(1), fleet(1), fleet(2)
    station = first(first_run, "sim-pump")
    assert everything(first_run, station) == everything(second_run, station)
    assert everything(first_run, station) != everything(other, station)


def test_working_machines_move_and_idle_ones_stand_still() -> None:
    running = fleet(devices=520)
    working = first(running, "sim-pump")
    idle = [s for s in running.stations.values() if s.idle and s.kind.code in ("sim-pump", "sim-ball-mill")]
    before = {s.code: everything(running, s) for s in [working, *idle]}
    for _ in range(20):
        running.step(1.0)
    assert everything(running, working) != before[working.code]
    assert idle
    for station in idle:
        assert everything(running, station) == before[station.code]


def test_what_is_written_moves_the_machine() -> None:
    running = fleet()
    pump = first(running, "sim-pump")
    place = (pump.window or 0) + point_of(pump, "speed_setpoint").register
    before = value(running, pump, "power")
    content = struct.pack(">f", 45.0)
    ask(running, pump, struct.pack(">BHHB", 16, place, 2, 4) + content)
    for _ in range(30):
        running.step(1.0)
    assert value(running, pump, "speed_setpoint") == 45.0
    assert value(running, pump, "power") < before / 2
    coil = (pump.window or 0) + point_of(pump, "start").register
    ask(running, pump, struct.pack(">BHH", 5, coil, 0))
    for _ in range(60):
        running.step(1.0)
    assert value(running, pump, "running") == 0.0
    assert value(running, pump, "power") == 0.0


def test_measured_values_cannot_be_written() -> None:
    running = fleet()
    station = first(running, "sim-heating-furnace")
    place = (station.window or 0) + point_of(station, "gas_flow").register
    assert ask(running, station, struct.pack(">BHH", 6, place, 1)) == b"\x86\x02"


def test_the_meters_of_an_enterprise_together_see_its_machines() -> None:
    running = fleet(devices=520)
    meters = [s for s in running.stations.values() if s.kind.code == "sim-meter"]
    tenant = meters[0].enterprise.code
    seen = sum(value(running, s, "active_power") for s in meters if s.enterprise.code == tenant)
    for station in running.stations.values():
        if station.enterprise.code == tenant and not station.kind.high_voltage and station.kind.settings:
            place = (station.window or 0) + point_of(station, "start").register
            if point_of(station, "start").table == "coil":
                ask(running, station, struct.pack(">BHH", 5, place, 0))
            else:
                ask(running, station, struct.pack(">BHH", 6, place, 0))
    for _ in range(120):
        running.step(1.0)
    left = sum(value(running, s, "active_power") for s in meters if s.enterprise.code == tenant)
    assert left < 0.4 * seen


async def test_a_frozen_device_stands_still_and_goes_on_afterwards() -> None:
    running = fleet()
    pump, other = [s for s in running.stations.values() if s.kind.code == "sim-pump" and not s.idle][:2]
    await running.faults.put(Fault(FaultKind.FREEZE), device=pump.code)
    before = everything(running, pump), everything(running, other)
    for _ in range(5):
        running.step(1.0)
    assert everything(running, pump) == before[0]
    assert everything(running, other) != before[1]
    await running.faults.lift(device=pump.code)
    running.step(1.0)
    assert everything(running, pump) != before[0]


@pytest.mark.parametrize("devices", [1, 5, 13])
def test_a_small_fleet_works_too(devices: int) -> None:
    small = fleet(devices=devices)
    small.step(1.0)
    assert len(small.stations) == devices


def test_what_a_fleet_shows_is_what_is_read_of_each_station() -> None:
    running = fleet()
    running.step(1.0)
    stations = list(running.stations.values())
    seen = set()
    for index, values in running.shown():
        for number, shown in zip(index.tolist(), values.tolist(), strict=True):
            assert shown == everything(running, stations[number])
            seen.add(number)
    assert seen == {station.index for station in stations}
