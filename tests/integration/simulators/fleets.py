"""A fleet on free ports for a test, and the barest Modbus client: what it reads is what was sent."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from muster.clock import SystemClock
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station, endpoint_count, lay_out
from simulators.modbus.ports import free_ports


@asynccontextmanager
async def working(devices: int, seed: int = 1) -> AsyncIterator[Fleet]:
    """Run a fleet for the block; its machines move only when the test says so."""
    fleet = Fleet(
        lay_out(devices, seed), "127.0.0.1", free_ports(endpoint_count(devices)), seed, SystemClock()
    )
    await fleet.open()
    try:
        yield fleet
    finally:
        await fleet.close()


def station_of(fleet: Fleet, fits: Callable[[Station], bool]) -> Station:
    """Return the first station that fits."""
    return next(station for station in fleet.stations.values() if fits(station))


class Wire:
    """One connection; a request is sent as it is, and frames come back as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._transaction = 0

    def send(self, unit: int, request: bytes) -> int:
        """Send a request and return its transaction number."""
        self._transaction = self._transaction % 0xFFFF + 1
        self.writer.write(struct.pack(">HHHB", self._transaction, 0, len(request) + 1, unit) + request)
        return self._transaction

    async def frame(self) -> tuple[int, int, bytes]:
        """Return the next frame's transaction, unit and content."""
        transaction, protocol, length = struct.unpack(">HHH", await self.reader.readexactly(6))
        assert protocol == 0
        content = await self.reader.readexactly(length)
        return transaction, content[0], content[1:]

    async def ask(self, unit: int, request: bytes) -> bytes:
        """Send a request and return its answer."""
        transaction = self.send(unit, request)
        answered, by, content = await self.frame()
        assert (answered, by) == (transaction, unit)
        return content

    async def is_silent(self, for_s: float = 0.2) -> bool:
        """Tell whether nothing comes, not even an end, for a while."""
        try:
            async with asyncio.timeout(for_s):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect for the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def read_of(station: Station, count: int = 4) -> bytes:
    """Return a request for the first holding registers of a device."""
    return struct.pack(">BHH", 3, station.window or 0, count)
