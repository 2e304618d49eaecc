"""Simulated machines behind OPC UA servers, seen by a client: named simulators, one source time a step, obedient."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asyncua import Client, ua

from muster.clock import SystemClock
from simulators.faults import Fault, FaultKind
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station, endpoint_count, lay_out
from simulators.modbus.ports import free_ports
from simulators.opcua.server import NAMESPACE

DEVICES = 330
"""The first fleet that reaches into a packing area."""


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """A fleet of which only the first OPC UA server listens."""
    ports = free_ports(endpoint_count(DEVICES))
    one = Fleet(lay_out(DEVICES, 1), "127.0.0.1", ports, 1, SystemClock(), ("opcua",))
    await one.servers[0].open()
    yield one
    await one.servers[0].close()


@asynccontextmanager
async def client(fleet: Fleet) -> AsyncIterator[Client]:
    async with Client(f"opc.tcp://127.0.0.1:{fleet.servers[0].port}") as connected:
        yield connected


def machine(fleet: Fleet) -> Station:
    return next(one for one in fleet.stations.values() if one.endpoint == fleet.servers[0].number)


async def node(connected: Client, text: str) -> ua.NodeId:
    return ua.NodeId(text, await connected.get_namespace_index(NAMESPACE))


async def values(connected: Client, station: Station) -> list[ua.DataValue]:
    ids = [await node(connected, f"{station.code}.{point.name}") for point in station.kind.points]
    return [await connected.get_node(one).read_data_value(raise_on_bad_status=False) for one in ids]


async def test_a_machine_says_what_it_measures_and_that_it_is_simulated(fleet: Fleet) -> None:
    station = machine(fleet)
    async with client(fleet) as connected:
        said = await node(connected, f"{station.code}.Identification.Manufacturer")
        assert await connected.get_node(said).read_value() == "Muster Simulator"
        serial = await node(connected, f"{station.code}.Identification.SerialNumber")
        assert await connected.get_node(serial).read_value() == station.serial_number
        assert len({one.SourceTimestamp for one in await values(connected, station)}) == 1


async def test_a_machine_follows_what_a_client_writes(fleet: Fleet) -> None:
    station = machine(fleet)
    (start,) = (point for point in station.kind.settings if point.name == "start")
    async with client(fleet) as connected:
        place = connected.get_node(await node(connected, f"{station.code}.{start.name}"))
        was = await place.read_value()
        await place.write_value(not was)
        fleet.step(1.0)
        await fleet.servers[0].publish()
        assert await place.read_value() is (not was)
        assert fleet.servers[0].requests == 1


async def test_faults_do_to_a_server_what_they_say(fleet: Fleet) -> None:
    station = machine(fleet)
    server = fleet.servers[0]
    async with client(fleet) as connected:
        now = (await values(connected, station))[0].SourceTimestamp
        assert now is not None
        await fleet.faults.put(Fault(FaultKind.CLOCK_BEHIND), device=station.code)
        fleet.step(5.0)
        await server.publish()
        times = {one.SourceTimestamp for one in await values(connected, station)}
        assert any(time is not None and (now - time).total_seconds() > 3500 for time in times)
        await fleet.faults.put(Fault(FaultKind.EXCEPTION), device=station.code)
        await server.publish()
        said = await values(connected, station)
        assert all(one.StatusCode is not None and not one.StatusCode.is_good() for one in said)
        await fleet.faults.lift()
        await server.publish()
        assert all(
            one.StatusCode is None or one.StatusCode.is_good() for one in await values(connected, station)
        )
        await connected.create_subscription(100, Silent())
        await fleet.faults.put(Fault(FaultKind.SUBSCRIPTION_LOST), endpoint=server.number)
        iserver = server._server.iserver if server._server is not None else None
        assert iserver is not None
        assert not iserver.subscription_service.subscriptions
        await fleet.faults.put(Fault(FaultKind.DROP), endpoint=server.number)
        async with asyncio.timeout(10):
            while server.connections:
                await asyncio.sleep(0.02)
    await fleet.faults.lift()
    async with client(fleet) as again:
        assert len(await values(again, station)) == len(station.kind.points)


class Silent:
    """Takes notifications and does nothing."""

    def datachange_notification(self, *_: object) -> None:
        """Take a change."""
