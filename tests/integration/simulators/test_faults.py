"""Faults on demand, seen from a client's side of the wire."""

import asyncio
import struct

import pytest

from muster.errors import RequestError
from simulators.faults import Fault, FaultKind
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station
from tests.integration.simulators.fleets import read_of, station_of, wire, working

DEVICES = 130  # twelve endpoints with units of their own, ten with windows


def neighbours(fleet: Fleet, *, windows: bool) -> tuple[Station, Station]:
    """Return two devices behind one endpoint."""
    first = station_of(fleet, lambda s: (s.window is not None) == windows)
    second = station_of(fleet, lambda s: s.endpoint == first.endpoint and s.code != first.code)
    return first, second


def port_of(fleet: Fleet, station: Station) -> int:
    return fleet.endpoints[station.endpoint].port


@pytest.mark.parametrize("windows", [False, True])
async def test_a_half_open_device_is_silent_and_its_neighbour_answers(windows: bool) -> None:
    async with working(DEVICES) as fleet:
        sick, well = neighbours(fleet, windows=windows)
        assert await fleet.faults.put(Fault(FaultKind.HALF_OPEN), device=sick.code) == [sick.code]
        async with wire(port_of(fleet, sick)) as line:
            line.send(sick.unit, read_of(sick))
            assert await line.is_silent()
            assert (await line.ask(well.unit, read_of(well)))[:2] == b"\x03\x08"
            assert await fleet.faults.lift(device=sick.code) == [sick.code]
            assert (await line.ask(sick.unit, read_of(sick)))[:2] == b"\x03\x08"


async def test_a_half_open_endpoint_takes_connections_and_never_answers() -> None:
    async with working(DEVICES) as fleet:
        touched = await fleet.faults.put(Fault(FaultKind.HALF_OPEN), endpoint=0)
        assert touched == [s.code for s in fleet.stations.values() if s.endpoint == 0]
        async with wire(fleet.endpoints[0].port) as line:
            line.send(1, b"\x03\x00\x00\x00\x01")
            assert await line.is_silent()


async def test_a_dropping_device_closes_the_connection_when_it_is_asked() -> None:
    async with working(DEVICES) as fleet:
        sick, well = neighbours(fleet, windows=False)
        touched = await fleet.faults.put(Fault(FaultKind.DROP), device=sick.code)
        assert {sick.code, well.code} <= set(touched)
        async with wire(port_of(fleet, sick)) as line:
            assert (await line.ask(well.unit, read_of(well)))[0] == 3
            line.send(sick.unit, read_of(sick))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await line.frame()


async def test_a_dropping_endpoint_ends_the_connections_it_has() -> None:
    async with working(DEVICES) as fleet, wire(fleet.endpoints[0].port) as line:
        assert (await line.ask(1, b"\x03\x00\x00\x00\x01"))[0] == 3
        await fleet.faults.put(Fault(FaultKind.DROP), endpoint=fleet.endpoints[0].port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await line.frame()


async def test_a_slow_device_answers_late_and_holds_nobody_up() -> None:
    async with working(DEVICES) as fleet:
        sick, well = neighbours(fleet, windows=True)
        await fleet.faults.put(Fault(FaultKind.SLOW, 0.3), device=sick.code)
        async with wire(port_of(fleet, sick)) as line:
            asked = line.send(sick.unit, read_of(sick))
            other = line.send(well.unit, read_of(well))
            assert (await line.frame())[0] == other
            assert (await line.frame())[0] == asked


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.WRONG_FUNCTION,
        FaultKind.WRONG_UNIT,
        FaultKind.WRONG_TRANSACTION,
        FaultKind.SHORT_REPLY,
        FaultKind.EXCEPTION,
    ],
)
async def test_a_lying_device_spoils_its_own_frames_only(kind: FaultKind) -> None:
    async with working(DEVICES) as fleet:
        sick, well = neighbours(fleet, windows=True)
        async with wire(port_of(fleet, sick)) as line:
            right = await line.ask(sick.unit, read_of(sick))
            await fleet.faults.put(Fault(kind), device=sick.code)
            asked = line.send(sick.unit, read_of(sick))
            assert await line.frame() != (asked, sick.unit, right)
            assert (await line.ask(well.unit, read_of(well)))[:2] == b"\x03\x08"


async def test_garbage_is_bytes_without_sense() -> None:
    async with working(DEVICES) as fleet:
        await fleet.faults.put(Fault(FaultKind.GARBAGE), endpoint=0)
        async with wire(fleet.endpoints[0].port) as line:
            line.send(1, b"\x03\x00\x00\x00\x01")
            first = await line.reader.read(256)
            line.send(1, b"\x03\x00\x00\x00\x01")
            assert first != await line.reader.read(256)


async def test_a_refusing_device_closes_its_endpoints_port_until_it_is_lifted() -> None:
    async with working(DEVICES) as fleet:
        sick, well = neighbours(fleet, windows=False)
        touched = await fleet.faults.put(Fault(FaultKind.REFUSE), device=sick.code)
        assert well.code in touched
        with pytest.raises(ConnectionRefusedError):
            async with wire(port_of(fleet, sick)):
                pass
        assert well.code in await fleet.faults.lift(device=sick.code)
        async with wire(port_of(fleet, sick)) as line:
            assert (await line.ask(well.unit, read_of(well)))[0] == 3


async def test_a_frozen_endpoint_answers_with_values_that_stand_still() -> None:
    async with working(DEVICES) as fleet:
        pump = station_of(fleet, lambda s: s.kind.code == "sim-pump" and s.window is None and not s.idle)
        request = struct.pack(">BHH", 4, 0, 14)
        await fleet.faults.put(Fault(FaultKind.FREEZE), endpoint=pump.endpoint)
        async with wire(port_of(fleet, pump)) as line:
            before = await line.ask(pump.unit, request)
            fleet.step(1.0)
            assert await line.ask(pump.unit, request) == before
            await fleet.faults.lift(endpoint=pump.endpoint)
            fleet.step(1.0)
            assert await line.ask(pump.unit, request) != before


async def test_a_fault_for_a_while_is_lifted_by_itself() -> None:
    async with working(DEVICES) as fleet:
        sick, _ = neighbours(fleet, windows=False)
        await fleet.faults.put(Fault(FaultKind.REFUSE), device=sick.code, for_s=0.1)
        await fleet.faults.put(Fault(FaultKind.FREEZE), device=sick.code, for_s=0.1)
        assert len(fleet.faults.in_force()) == 2
        async with asyncio.timeout(5):
            while fleet.faults.in_force():
                await asyncio.sleep(0.02)
        async with wire(port_of(fleet, sick)) as line:
            assert (await line.ask(sick.unit, read_of(sick)))[0] == 3


async def test_a_timer_does_not_lift_a_fault_that_was_put_later() -> None:
    async with working(DEVICES) as fleet:
        sick, _ = neighbours(fleet, windows=False)
        await fleet.faults.put(Fault(FaultKind.HALF_OPEN), device=sick.code, for_s=0.05)
        await fleet.faults.put(Fault(FaultKind.GARBAGE), device=sick.code)
        await asyncio.sleep(0.2)
        assert [one["kind"] for one in fleet.faults.in_force()] == ["garbage"]


async def test_a_port_that_was_taken_meanwhile_is_opened_when_it_is_free_again() -> None:
    async with working(DEVICES) as fleet:
        endpoint = fleet.endpoints[0]
        await fleet.faults.put(Fault(FaultKind.REFUSE), endpoint=0, for_s=0.05)
        thief = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", endpoint.port)
        async with thief:
            await asyncio.sleep(0.3)
            assert not endpoint.listening
            assert fleet.faults.in_force()
        async with asyncio.timeout(10):
            while fleet.faults.in_force():
                await asyncio.sleep(0.05)
        assert endpoint.listening


async def test_everything_can_fail_and_be_restored_at_once() -> None:
    async with working(DEVICES) as fleet:
        assert len(await fleet.faults.put(Fault(FaultKind.REFUSE))) == DEVICES
        assert not any(endpoint.listening for endpoint in fleet.endpoints)
        assert len(await fleet.faults.lift()) == DEVICES
        assert all(endpoint.listening for endpoint in fleet.endpoints)


async def test_an_unknown_device_or_endpoint_is_said_by_its_name() -> None:
    async with working(12) as fleet:
        with pytest.raises(RequestError, match="no simulated device P-999"):
            await fleet.faults.put(Fault(FaultKind.DROP), device="P-999")
        with pytest.raises(RequestError, match="no simulated endpoint 65535"):
            await fleet.faults.lift(endpoint=65535)
