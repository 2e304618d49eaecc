"""The Sparkplug room: one host application for each broker, and the edge nodes and devices that it hears."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.adapter import Certificate, Diagnostics, Found, Sink, Value, Workplace
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings
from gateway.adapters.sparkplug import commands
from gateway.adapters.sparkplug.config import understand
from gateway.adapters.sparkplug.discovery import Ear, group_of, things_of
from gateway.adapters.sparkplug.host import RebirthLimit
from gateway.adapters.sparkplug.hub import Hub, rebirth
from gateway.adapters.sparkplug.station import Station, next_values
from gateway.adapters.sparkplug.topics import NAMESPACE, Node
from gateway.checks import validated
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError, Unavailable
from muster.events import Event

_AT_ONCE = 10
_LONGEST_READ_S = 25.0
_BIRTH_S = 5.0


class SparkplugRoom:
    """Hears edge nodes and their devices through any number of brokers."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        self._sink, self._clock, self._workplace = sink, clock, workplace
        self._hubs: dict[tuple[BrokerSettings, str], Hub] = {}
        self._stations: dict[int, tuple[Hub, Station]] = {}
        self._refused: dict[int, Device] = {}
        self._limit = RebirthLimit()
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ready.set()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            for hub in self._hubs.values():
                hub.stop()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        for number, (hub, station) in list(self._stations.items()):
            if devices.get(number) != station.device:
                hub.remove(number)
                del self._stations[number]
        for count, (number, device) in enumerate(devices.items(), 1):
            if number not in self._stations and self._refused.get(number) != device:
                self._add(device)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._refused = {n: d for n, d in self._refused.items() if devices.get(n) == d}
        for key, hub in list(self._hubs.items()):
            if not hub.stations:
                del self._hubs[key]
                hub.stop()
                assert hub.task is not None
                hub.task.cancel()
                await asyncio.gather(hub.task, return_exceptions=True)

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Wait for the device's next DATA, for twice its interval: a birth may be answered from a memory.

        Raises Unavailable when none came.
        """
        hub, station = self._watched(device)
        if not hub.session.connected:
            raise Unavailable("the broker is away")
        within_s = min(2 * station.device.interval_s, _LONGEST_READ_S)
        found = await next_values(station, positions, within_s)
        if not found:
            raise Unavailable(f"the device sent none of these tags within {within_s:g} s")
        return found

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag by a command and return what reads back."""
        hub, station = self._watched(device)
        return await commands.write(hub, station, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell what the device's last birth held; a rebirth is asked for when there was none."""
        hub, station = self._watched(device)
        await hub.births(station, _BIRTH_S)
        connection = station.understood.connection
        group = group_of(connection.group, connection.edge_node, connection.device)
        found = things_of(group, station.metrics, station.device.interval_s)
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Listen to all edge nodes, or to `connection.group` and `connection.edge_node`.

        An edge node that is named is asked for its births, within the limit; others are only listened to.
        """
        settings = validated(BrokerSettings, connection.get("broker"), "connection.broker")
        named = {key: connection.get(key) for key in ("group", "edge_node")}
        for key, name in named.items():
            if name is not None and (not isinstance(name, str) or not name or set(name) & set("/+#\0")):
                raise ConfigError(f"connection.{key}: {name!r} is no name")
        group, edge_node = named["group"], named["edge_node"]
        ear = Ear()
        failed: list[str] = []
        session: BrokerSession

        def ask() -> None:
            if group is not None and edge_node is not None:
                node = Node(group, edge_node)
                if self._limit.take((settings.text, node), self._clock.monotonic()):
                    session.publish(node.command(None), rebirth(self._clock.now_us()))

        session = BrokerSession(
            settings,
            self._workplace,
            self._sink,
            self._clock,
            ear.hear,
            ask,
            lambda reason, detail: failed.append(f"{reason} {detail}"),
            lasting=False,
        )
        session.on_refused = lambda name, code: failed.append(f"mqtt.subscription-refused {name} {code}")
        where = (
            f"{NAMESPACE}/{group or '+'}/+/{edge_node or '+'}/#" if group or edge_node else f"{NAMESPACE}/#"
        )
        session.subscribe({where: 0})
        task = asyncio.create_task(session.run(), name=f"listen {settings.text}")
        try:
            await asyncio.wait([task], timeout=wait_s)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        found = ear.found(search)
        if failed and not found:
            raise Unavailable(failed[0])
        return found

    def certificates(self) -> list[Certificate]:
        """Return none: a broker is checked against the authorities of `tls.ca_file`."""
        return []

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Refuse: there are none to decide on."""
        raise RequestError(f"no certificate {thumbprint}", status=404, code="unknown-certificate")

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._stations[device][1].report()

    def _add(self, device: Device) -> None:
        try:
            understood = understand(device)
        except ConfigError as error:
            self._refused[device.number] = device
            detail = {"problem": str(error)}
            now_us = self._clock.now_us()
            self._sink.event(
                Event("error", device.number, now_us, reason="configuration-wrong", detail=detail)
            )
            return
        settings = understood.connection.broker
        host_id = understood.connection.host_id or f"muster-{self._workplace.name}"
        hub = self._hubs.get((settings, host_id))
        if hub is None:
            assert self._group is not None
            hub = Hub(settings, host_id, self._workplace, self._sink, self._clock, self._limit)
            self._hubs[settings, host_id] = hub
            hub.task = self._group.create_task(hub.session.run(), name=f"broker {settings.text}")
        station = Station(device, understood, self._sink)
        hub.add(station)
        self._stations[device.number] = (hub, station)

    def _watched(self, device: int) -> tuple[Hub, Station]:
        if device not in self._stations:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self._stations[device]
