"""The OPC UA room: one session for all devices with the same server settings, each session a task of its own."""

import asyncio
import math
from collections.abc import Mapping
from itertools import count
from typing import Any

from asyncua import ua

from gateway.adapter import Certificate, Diagnostics, Found, Sink, Value, Workplace
from gateway.adapters.opcua.browsing import browse
from gateway.adapters.opcua.config import INTEGERS, Connection, Place, connection_of, understand
from gateway.adapters.opcua.decode import decode, time_of
from gateway.adapters.opcua.entry import LOST, enter, leave
from gateway.adapters.opcua.pulse import KEEP_ALIVE_S
from gateway.adapters.opcua.session import Session, node_of, reason_of
from gateway.adapters.opcua.station import Station
from gateway.adapters.opcua.trust import Distrusted, Trust
from gateway.adapters.opcua.turns import LONGEST_WAIT_S, TurnClient, Turns
from gateway.checks import raw_to_write, writable
from gateway.roster import Roster
from muster.clock import Clock
from muster.device import Device
from muster.errors import RequestError, Unavailable

_LOOK_AGAIN_S = 0.1
_PARTS = 6


class OpcuaRoom:
    """Watches OPC UA devices over any number of servers."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        self._sink = sink
        self._clock = clock
        self._trust = Trust(workplace, clock)
        self._sessions: dict[Connection, tuple[Session, asyncio.Task[None]]] = {}
        self._roster: Roster[Session, Station] = Roster(sink, clock)
        self._turns: dict[str, Turns] = {}
        self._parts = count()
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ready.set()
                await self._look()
        finally:
            for _, station in self._roster.watched.values():
                station.stop("gateway-stopped")

    async def _look(self) -> None:
        """Look after each session every `KEEP_ALIVE_S`, after a part of them at a time."""
        loop = asyncio.get_running_loop()
        for beat in count():
            await asyncio.sleep(KEEP_ALIVE_S / _PARTS)
            now = loop.time()
            for session, _ in self._sessions.values():
                if session.part == beat % _PARTS:
                    session.look(now)

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        await self._roster.configure(devices, self._add, _remove)
        for settings, (session, task) in list(self._sessions.items()):
            if not session.stations:
                del self._sessions[settings]
                task.cancel()
                await asyncio.wait([task])

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache."""
        session, station = self._roster.of(device)
        places = [_place(station, position) for position in positions]
        answers = await session.read(places)
        received = self._clock.now_us()
        values = []
        for place, data in zip(places, answers, strict=True):
            said = decode(data, place, station.structures)
            value = said.text if said.text is not None else said.value if said.value == said.value else None
            time = time_of(data, received)
            values.append(Value(place.tag.position, value, int(said.quality), time, received))
        return values

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back."""
        session, station = self._roster.of(device)
        writable(station.device.tags, position)
        place = _place(station, position)
        await session.write(place, _raw(place, value))
        settle_s = 0.0 if place.address.call is None else place.address.call.settle_ms / 1000
        until = asyncio.get_running_loop().time() + settle_s
        while True:
            (back,) = await self.read(device, [position])
            if _says(back, value) or asyncio.get_running_loop().time() >= until:
                return back
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Return the variables below the device's root, or of its whole server."""
        session, station = self._roster.of(device)
        return await session.browse(station.understood.connection.root, search)

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Return the variables of a server, in a session of its own, `wait_s` at most for each answer."""
        settings = connection_of(connection)
        turns = self._turns.setdefault(settings.server, Turns())
        client = TurnClient(settings.server, max(wait_s, settings.timeout_ms / 1000), turns)
        limit_s = settings.connect_timeout_ms / 1000 + LONGEST_WAIT_S
        try:
            async with turns.opening, asyncio.timeout(limit_s):
                await enter(client, settings, self._trust)
            namespaces = await client.get_namespace_array()
            root = settings.root
            below = ua.NodeId(ua.ObjectIds.ObjectsFolder) if root is None else node_of(root, namespaces)
            return await browse(client, below, root, namespaces, search)
        except Distrusted as error:
            raise RequestError(f"{error.reason}: {error.detail}", status=409, code=error.reason) from error
        except LOST as error:
            raise Unavailable(f"{settings.server}: {reason_of(error)}: {error}") from error
        finally:
            await leave(client)

    def certificates(self) -> list[Certificate]:
        """Return what servers showed, newest first."""
        return self._trust.certificates()

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Trust or refuse a server's certificate from now on."""
        return self._trust.decide(thumbprint, trust)

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._roster.report(device)

    def _add(self, device: Device) -> tuple[Session, Station]:
        understood = understand(device)
        settings = understood.connection.settings
        if settings not in self._sessions:
            assert self._group is not None
            turns = self._turns.setdefault(settings.server, Turns())
            made = Session(settings, self._clock, turns, self._trust, next(self._parts) % _PARTS)
            task = self._group.create_task(made.run(), name=f"session {settings.server}")
            self._sessions[settings] = (made, task)
        session, _ = self._sessions[settings]
        station = Station(device, understood, self._sink, self._clock)
        session.stations[device.number] = station
        session.changed()
        return session, station


def _remove(session: Session, station: Station) -> None:
    del session.stations[station.device.number]
    station.stop("opcua.reconfigured")
    session.changed()


def _place(station: Station, position: int) -> Place:
    for place in station.understood.places:
        if place.tag.position == position:
            return place
    raise RequestError(f"no tag at {position}", status=404, code="unknown-tag")


def _says(read: Value, written: float | str) -> bool:
    """Whether a tag reads back as it was written."""
    if isinstance(read.value, str) or read.value is None:
        return read.value == str(written)
    return math.isclose(read.value, float(written), rel_tol=1e-6, abs_tol=1e-9)


def _raw(place: Place, value: float | str) -> bool | int | float | str:
    tag = place.tag
    if tag.type == "string":
        return str(value)
    raw = raw_to_write(tag, value)
    if tag.type == "bool":
        return bool(raw)
    if tag.type == "datetime":
        raise RequestError(f"{tag.name}: a time cannot be written", code="wrong-type")
    return round(raw) if tag.type in INTEGERS else raw
