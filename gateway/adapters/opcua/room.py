"""The OPC UA room: one session for all devices with the same server settings, each session a task of its own."""

import asyncio
from collections.abc import Mapping
from typing import Any

from asyncua import Client, ua

from gateway.adapter import Certificate, Diagnostics, Found, Sink, Value, Workplace
from gateway.adapters.opcua.browsing import browse
from gateway.adapters.opcua.config import INTEGERS, Connection, Place, understand
from gateway.adapters.opcua.decode import decode, time_of
from gateway.adapters.opcua.session import LOST, Session, enter, leave, node_of, reason_of
from gateway.adapters.opcua.station import Station
from gateway.adapters.opcua.trust import Distrusted, Trust
from gateway.checks import validated
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError, Unavailable
from muster.events import Event


class OpcuaRoom:
    """Watches OPC UA devices over any number of servers."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        self._sink = sink
        self._clock = clock
        self._trust = Trust(workplace, clock)
        self._sessions: dict[Connection, tuple[Session, asyncio.Task[None]]] = {}
        self._stations: dict[int, tuple[Session, Station]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._refused: dict[int, Device] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ready.set()
                await asyncio.Event().wait()
        finally:
            for _, station in self._stations.values():
                station.stop("gateway-stopped")

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        for number, (session, station) in list(self._stations.items()):
            if devices.get(number) != station.device:
                del self._stations[number]
                del session.stations[number]
                station.stop("opcua.reconfigured")
                session.changed()
        for number, device in devices.items():
            if number not in self._stations and self._refused.get(number) != device:
                self._add(device)
        self._refused = {n: d for n, d in self._refused.items() if devices.get(n) == d}
        for settings, (session, task) in list(self._sessions.items()):
            if not session.stations:
                del self._sessions[settings]
                task.cancel()
                await asyncio.wait([task])

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache."""
        session, station = self._watched(device)
        places = [_place(station, position) for position in positions]
        answers = await session.read(places)
        received = self._clock.now_us()
        values = []
        for place, data in zip(places, answers, strict=True):
            said = decode(data, place)
            value = said.text if said.text is not None else said.value if said.value == said.value else None
            time = time_of(data, received)
            values.append(Value(place.tag.position, value, int(said.quality), time, received))
        return values

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back."""
        session, station = self._watched(device)
        place = _place(station, position)
        await session.write(place, _raw(place, value))
        return (await self.read(device, [position]))[0]

    async def browse(self, device: int, search: str) -> list[Found]:
        """Return the variables below the device's root, or of its whole server."""
        session, station = self._watched(device)
        return await session.browse(station.understood.connection.root, search)

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Return the variables of a server, in a session of its own, `wait_s` at most for each answer."""
        settings = validated(Connection, dict(connection), "connection")
        client = Client(settings.server, timeout=max(wait_s, settings.timeout_ms / 1000))
        turn = self._turns.setdefault(settings.server, asyncio.Lock())
        try:
            async with turn, asyncio.timeout(settings.connect_timeout_ms / 1000):
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
        return self._stations[device][1].report()

    def _add(self, device: Device) -> None:
        try:
            understood = understand(device)
        except ConfigError as error:
            self._refused[device.number] = device
            detail = {"problem": str(error)}
            at = self._clock.now_us()
            self._sink.event(Event("error", device.number, at, reason="configuration-wrong", detail=detail))
            return
        settings = understood.connection.settings
        if settings not in self._sessions:
            assert self._group is not None
            turn = self._turns.setdefault(settings.server, asyncio.Lock())
            made = Session(settings, self._clock, turn, self._trust)
            task = self._group.create_task(made.run(), name=f"session {settings.server}")
            self._sessions[settings] = (made, task)
        session, _ = self._sessions[settings]
        station = Station(device, understood, self._sink, self._clock)
        self._stations[device.number] = (session, station)
        session.stations[device.number] = station
        session.changed()

    def _watched(self, device: int) -> tuple[Session, Station]:
        if device not in self._stations:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self._stations[device]


def _place(station: Station, position: int) -> Place:
    for place in station.understood.places:
        if place.tag.position == position:
            return place
    raise RequestError(f"no tag at {position}", status=404, code="unknown-tag")


def _raw(place: Place, value: float | str) -> bool | int | float | str:
    tag = place.tag
    if not tag.writable:
        raise RequestError(f"{tag.name} is not writable", status=403, code="not-writable")
    if tag.type == "string":
        return str(value)
    try:
        number = float(value)
    except ValueError as error:
        raise RequestError(f"{tag.name} takes a number", code="wrong-type") from error
    if not (tag.low is None or number >= tag.low) or not (tag.high is None or number <= tag.high):
        raise RequestError(f"{tag.name}: {number} is outside its limits", code="outside-limits")
    if tag.type == "bool":
        if number not in (0, 1):
            raise RequestError(f"{tag.name} takes 0 or 1", code="wrong-type")
        return bool(number)
    raw = (number - tag.offset) / tag.scale
    if tag.type == "datetime" or raw != raw or abs(raw) == float("inf"):
        raise RequestError(f"{tag.name}: cannot be written", code="wrong-type")
    return round(raw) if tag.type in INTEGERS else raw
