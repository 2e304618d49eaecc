"""The server under clients that misbehave."""

import asyncio
import struct

import pytest

from muster.errors import Unavailable
from simulators.fleet.fleet import Fleet
from tests.integration.simulators.fleets import read_of, station_of, wire, working


async def test_requests_that_come_together_or_in_pieces_are_each_answered() -> None:
    async with working(12) as fleet:
        station = station_of(fleet, lambda s: True)
        async with wire(fleet.endpoints[station.endpoint].port) as line:
            sent = [line.send(station.unit, read_of(station)) for _ in range(400)]
            assert [(await line.frame())[0] for _ in sent] == sent
            whole = struct.pack(">HHHB", 9, 0, 6, station.unit) + read_of(station)
            for byte in whole:
                line.writer.write(bytes((byte,)))
                await line.writer.drain()
                await asyncio.sleep(0.001)
            assert (await line.frame())[0] == 9


@pytest.mark.parametrize("head", ["000100010006", "000100000001", "00010000ffff"])
async def test_a_frame_that_is_no_modbus_ends_the_connection(head: str) -> None:
    async with working(12) as fleet:
        async with wire(fleet.endpoints[0].port) as line:
            line.writer.write(bytes.fromhex(head) + bytes(8))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await line.frame()
        assert await eventually_no_connections(fleet)


async def test_a_client_that_asks_and_never_reads_fills_no_memory() -> None:
    async with working(12) as fleet:
        station = station_of(fleet, lambda s: True)
        endpoint = fleet.endpoints[station.endpoint]
        request = struct.pack(">HHHB", 1, 0, 6, station.unit) + read_of(station, 125)
        async with wire(endpoint.port) as line:
            line.writer.transport.pause_reading()
            seen = -1
            while endpoint.requests != seen:
                seen = endpoint.requests
                line.writer.write(request * 2000)
                await asyncio.sleep(0.2)
            assert seen < 200_000
        assert await eventually_no_connections(fleet)


async def test_the_ports_can_be_taken_again_at_once_after_a_stop_with_clients_connected() -> None:
    async with working(12) as fleet:
        station = station_of(fleet, lambda s: True)
        async with wire(fleet.endpoints[station.endpoint].port) as line:
            assert await line.ask(station.unit, read_of(station))
            await fleet.close()
            await fleet.open()
        async with wire(fleet.endpoints[station.endpoint].port) as line:
            assert await line.ask(station.unit, read_of(station))


async def test_a_port_that_is_taken_is_named() -> None:
    async with working(12) as fleet:
        taken = fleet.endpoints[3].port
        second = Fleet(list(fleet.stations.values()), "127.0.0.1", [taken] * 12, 1, fleet._clock)
        with pytest.raises(Unavailable, match=f"127.0.0.1:{taken}: "):
            await second.open()
        await second.close()


async def eventually_no_connections(fleet: Fleet) -> bool:
    async with asyncio.timeout(5):
        while any(endpoint.connections for endpoint in fleet.endpoints):
            await asyncio.sleep(0.02)
    return True
