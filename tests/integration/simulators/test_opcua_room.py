"""Simulated OPC UA servers as the gateway's own room sees them: trusted by thumbprint, faulty by name, and back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from msgspec.structs import replace

from gateway.adapter import Workplace
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.errors import RequestError, Unavailable
from simulators.faults import Fault, FaultKind
from simulators.fleet.book import demo_book
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import encrypted_endpoints, endpoint_count, lay_out
from simulators.modbus.ports import free_ports
from simulators.opcua import certificate
from simulators.opcua.objects import NAMESPACE
from tests.integration.opcua.test_session import Recorder, until

DEVICES = 327
"""The first fleet that reaches into both kinds of packing area, with one machine each: encrypted, then open."""
HOUR_US = 3_600_000_000
ENCRYPTED, OPEN = 1, 2


class Plant:
    """An encrypted and an open server, and a room that watches their machines by the fleet's own book."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        kept = folder / "certificates"
        ports = free_ports(endpoint_count(DEVICES))
        encrypted = encrypted_endpoints(DEVICES, ("opcua",))
        thumbprints = certificate.keep(kept, encrypted, "127.0.0.1", clock)
        book = demo_book(DEVICES, 1, "127.0.0.1", ports, "g", ("opcua",), None, thumbprints)
        self.fleet = Fleet(lay_out(DEVICES, 1), "127.0.0.1", ports, 1, clock, ("opcua",), None, kept)
        self.servers = dict(zip((ENCRYPTED, OPEN), self.fleet.servers, strict=True))
        self.devices = {
            number: _device(number, book, self.servers[number].port) for number in (ENCRYPTED, OPEN)
        }
        self.sink = Recorder()
        self.room = OpcuaRoom(self.sink, clock, Workplace(1, "g", folder / "room"))

    def told(self, device: int, kind: str) -> list[Any]:
        return [event for event in self.sink.events if event.device == device and event.kind == kind]

    def scanned(self, device: int) -> bool:
        return any(scan[0] == device for scan in self.sink.scans)

    async def fail(self, kind: FaultKind, device: int) -> None:
        await self.fleet.faults.put(Fault(kind), endpoint=self.servers[device].number)

    async def down(self, device: int, reason: str) -> None:
        await until(lambda: any(event.reason == reason for event in self.told(device, "session_down")))

    async def back(self, device: int) -> None:
        """Lift every fault and wait for new values."""
        self.sink.scans.clear()
        await self.fleet.faults.lift()
        await until(lambda: self.scanned(device))


def _device(number: int, book: dict[str, Any], port: int) -> Device:
    """Return the one machine behind a port as a gateway is told of it, in more of a hurry than a demo."""
    told = next(d for d in book["devices"] if d["connection"].get("url", "").endswith(f":{port}"))
    model = next(model for model in book["models"] if model["code"] == told["model"])
    tags = [
        Tag(position=position, **{key: tag[key] for key in tag if key != "label"})
        for position, tag in enumerate(model["tags"], 1)
    ]
    connection = {**told["connection"], "timeout_ms": 500, "connect_timeout_ms": 1500, "backoff_max_s": 0.3}
    return Device(
        number, 1, told["code"], told["name"], 1, "opcua", connection, ReportMode.PERIODIC, 0.2, tags
    )


@asynccontextmanager
async def working(folder: Path) -> AsyncIterator[Plant]:
    plant = Plant(folder)
    for server in plant.servers.values():
        await server.open()
    moving = asyncio.create_task(plant.fleet.run(0.1))
    running = asyncio.create_task(plant.room.run())
    try:
        await plant.room.configure(plant.devices)
        await until(lambda: all(plant.scanned(number) for number in plant.devices))
        yield plant
    finally:
        for task in (running, moving):
            task.cancel()
        await asyncio.gather(running, moving, return_exceptions=True)
        for server in plant.servers.values():
            await server.close()


async def test_an_encrypted_server_is_trusted_by_the_books_thumbprint_and_takes_nothing_open(
    tmp_path: Path,
) -> None:
    async with working(tmp_path) as plant:
        assert plant.devices[ENCRYPTED].connection["security"]["policy"] == "Basic256Sha256"
        assert plant.devices[OPEN].connection["security"]["policy"] == "None"
        await until(lambda: bool(plant.told(ENCRYPTED, "identity")))
        (identity,) = plant.told(ENCRYPTED, "identity")
        assert identity.origin == "simulated"
        with pytest.raises(RequestError, match="opcua"):
            await plant.room.discover(
                {**plant.devices[ENCRYPTED].connection, "server_certificate": None}, "", 2.0
            )
        with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
            async with Client(f"opc.tcp://127.0.0.1:{plant.servers[ENCRYPTED].port}", timeout=2):
                pass


async def test_an_expired_certificate_is_refused_by_name_until_the_good_one_is_back(tmp_path: Path) -> None:
    async with working(tmp_path) as plant:
        await plant.fail(FaultKind.CERTIFICATE_EXPIRED, ENCRYPTED)
        await plant.down(ENCRYPTED, "opcua.certificate-expired")
        assert (await plant.room.read(OPEN, [1]))[0].quality == 0
        with pytest.raises(Unavailable):
            await plant.room.read(ENCRYPTED, [1])
        await plant.back(ENCRYPTED)
        assert plant.told(ENCRYPTED, "gap")
        with pytest.raises(RequestError, match="no fault of such equipment"):
            await plant.fail(FaultKind.CERTIFICATE_EXPIRED, OPEN)


@pytest.mark.parametrize("device", [ENCRYPTED, OPEN])
async def test_a_server_that_falls_silent_is_given_up_and_is_back_when_it_speaks(
    tmp_path: Path, device: int
) -> None:
    async with working(tmp_path) as plant:
        await plant.fail(FaultKind.SILENT, device)
        await plant.down(device, "opcua.timeout")
        assert plant.servers[device].listening
        await plant.back(device)
        assert plant.told(device, "gap")


async def test_a_subscription_without_keep_alives_is_given_up_though_reads_are_answered(
    tmp_path: Path,
) -> None:
    async with working(tmp_path) as plant:
        await plant.fail(FaultKind.KEEPALIVE_SILENT, OPEN)
        assert (await plant.room.read(OPEN, [1]))[0].quality == 0
        await plant.down(OPEN, "opcua.subscription-lost")
        await plant.back(OPEN)


@pytest.mark.parametrize(("kind", "sign"), [(FaultKind.CLOCK_AHEAD, 1), (FaultKind.CLOCK_BEHIND, -1)])
async def test_a_servers_clock_jumps_whole_and_the_room_says_so(
    tmp_path: Path, kind: FaultKind, sign: int
) -> None:
    def off(us: int) -> bool:
        return abs(sign * us - HOUR_US) < 60_000_000

    async with working(tmp_path) as plant:
        (before,) = plant.told(OPEN, "clock")
        assert abs(before.detail["offset_us"]) < 60_000_000
        await plant.fail(kind, OPEN)
        await until(lambda: any(off(event.detail["offset_us"]) for event in plant.told(OPEN, "clock")))
        async with Client(f"opc.tcp://127.0.0.1:{plant.servers[OPEN].port}") as client:
            status = await client.get_node(ua.ObjectIds.Server_ServerStatus).read_value()
            ours = SystemClock().now_us()
            assert off(int(status.CurrentTime.timestamp() * 1e6) - ours)
        await plant.fleet.faults.lift()
        await until(lambda: not off(plant.told(OPEN, "clock")[-1].detail["offset_us"]))
        assert len(plant.told(OPEN, "session_up")) == 1


async def test_a_tag_is_written_by_the_methods_that_it_names(tmp_path: Path) -> None:
    async with working(tmp_path) as plant:
        device = plant.devices[OPEN]
        methods = {"method": "{root}.Start", "off_method": "{root}.Stop"}
        tags = [
            replace(tag, address={**tag.address, "call": methods}) if tag.name == "start" else tag
            for tag in device.tags
        ]
        start = next(tag.position for tag in tags if tag.name == "start")
        await plant.room.configure({**plant.devices, OPEN: replace(device, version=2, tags=tags)})
        plant.sink.scans.clear()
        await until(lambda: plant.scanned(OPEN))
        before = plant.servers[OPEN].requests
        for value in (0, 1, 0):
            assert (await plant.room.write(OPEN, start, value)).value == value
        assert plant.servers[OPEN].requests == before + 3


async def test_a_machine_starts_and_stops_when_its_methods_are_called(tmp_path: Path) -> None:
    async with working(tmp_path) as plant:
        device = plant.devices[OPEN]
        start = next(tag.position for tag in device.tags if tag.name == "start")
        before = plant.servers[OPEN].requests
        async with Client(f"opc.tcp://127.0.0.1:{plant.servers[OPEN].port}") as client:
            index = await client.get_namespace_index(NAMESPACE)
            machine = client.get_node(ua.NodeId(device.code, index))
            for method, shown in (("Stop", 0.0), ("Start", 1.0), ("Stop", 0.0)):
                await machine.call_method(ua.NodeId(f"{device.code}.{method}", index))
                async with asyncio.timeout(20):
                    while (await plant.room.read(OPEN, [start]))[0].value != shown:
                        await asyncio.sleep(0.05)
        assert plant.servers[OPEN].requests == before + 3
