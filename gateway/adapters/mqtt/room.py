"""The MQTT room: one session for each broker, and the devices whose topics it hears."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.adapter import Certificate, Diagnostics, Found, Sink, Value, Workplace
from gateway.adapters.mqtt import commands
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings, Message
from gateway.adapters.mqtt.config import understand
from gateway.adapters.mqtt.discovery import Ear, leaves
from gateway.adapters.mqtt.station import Station, next_values
from gateway.adapters.mqtt.topics import Directory, check_filter
from gateway.checks import validated
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError, Unavailable
from muster.events import Event

_AT_ONCE = 10
_LONGEST_READ_S = 25.0
_SETTLE_S = 0.02


class _Hub:
    """One broker with its devices."""

    def __init__(self, settings: BrokerSettings, workplace: Workplace, sink: Sink, clock: Clock) -> None:
        self.stations: dict[int, Station] = {}
        self.task: asyncio.Task[None] | None = None
        self._clock = clock
        self._directory: Directory[Station] = Directory()
        self._away_since: int | None = None
        self._reason: tuple[str, dict[str, Any]] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.session = BrokerSession(settings, workplace, sink, clock, self._message, self._up, self._down)
        self.session.on_refused = self._refused

    def add(self, station: Station) -> None:
        self.stations[station.device.number] = station
        for name in station.understood.filters:
            self._directory.add(name, station)
        if self.session.connected:
            station.broker_up(None, False, self._clock.now_us())
        elif self._reason is not None:
            station.broker_down(*self._reason, self._clock.now_us())
        self._settle()

    def remove(self, number: int) -> None:
        station = self.stations.pop(number)
        self._directory.remove(lambda one: one is station)
        self._settle()

    def _settle(self) -> None:
        """Subscribe to what the devices want now, once for many changes."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_S, self._subscribe)

    def _subscribe(self) -> None:
        self._settling = None
        filters: dict[str, int] = {}
        for station in self.stations.values():
            for name in station.understood.filters:
                filters[name] = max(filters.get(name, 0), station.understood.connection.qos)
        self.session.subscribe(filters)

    def _message(self, message: Message) -> None:
        for station in self._directory.find(message.topic):
            station.message(message)

    def _up(self) -> None:
        now_us = self._clock.now_us()
        for station in self.stations.values():
            station.broker_up(self._away_since, self.session.resumed, now_us)
        self._away_since = self._reason = None

    def _down(self, reason: str, detail: dict[str, Any]) -> None:
        now_us = self._clock.now_us()
        self._away_since = self._away_since or now_us
        self._reason = reason, detail
        for station in self.stations.values():
            station.broker_down(reason, detail, now_us)

    def _refused(self, name: str, code: int) -> None:
        for station in self.stations.values():
            if name in station.understood.filters:
                station.refused(name, code, self._clock.now_us())

    def stop(self) -> None:
        """List what is still open."""
        if self._settling is not None:
            self._settling.cancel()
        if self._away_since is not None:
            for station in self.stations.values():
                station.missed(self._away_since, self._clock.now_us())


class MqttRoom:
    """Hears MQTT devices through any number of brokers."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        self._sink, self._clock, self._workplace = sink, clock, workplace
        self._hubs: dict[BrokerSettings, _Hub] = {}
        self._stations: dict[int, tuple[_Hub, Station]] = {}
        self._refused: dict[int, Device] = {}
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
        for settings, hub in list(self._hubs.items()):
            if not hub.stations:
                del self._hubs[settings]
                hub.stop()
                assert hub.task is not None
                hub.task.cancel()
                await asyncio.gather(hub.task, return_exceptions=True)

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Wait for the device's next message, for twice its interval: it cannot be asked.

        Raises Unavailable when none came.
        """
        hub, station = self._watched(device)
        if not hub.session.connected:
            raise Unavailable("the broker is away")
        within_s = min(2 * station.device.interval_s, _LONGEST_READ_S)
        found = await next_values(station, positions, within_s)
        if not found:
            raise Unavailable(f"the device published none of these tags within {within_s:g} s")
        return found

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag by its command topic and return what reads back, or was confirmed."""
        hub, station = self._watched(device)
        return await commands.write(hub.session, station, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell what stood in the newest payloads of the device's topics."""
        _, station = self._watched(device)
        found = [one for topic, (document, _) in station.documents.items() for one in leaves(topic, document)]
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Listen under `connection.topic`, or to everything, and propose a tag for each leaf of what comes."""
        topic = str(connection.get("topic", "#"))
        check_filter(topic, "connection.topic")
        settings = validated(BrokerSettings, connection.get("broker"), "connection.broker")
        ear = Ear()
        failed: list[str] = []
        session = BrokerSession(
            settings,
            self._workplace,
            self._sink,
            self._clock,
            ear.hear,
            lambda: None,
            lambda reason, detail: failed.append(f"{reason} {detail}"),
            lasting=False,
        )
        session.on_refused = lambda name, code: failed.append(f"mqtt.subscription-refused {name} {code}")
        session.subscribe({topic: 0})
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
        hub = self._hubs.get(settings)
        if hub is None:
            assert self._group is not None
            hub = self._hubs[settings] = _Hub(settings, self._workplace, self._sink, self._clock)
            hub.task = self._group.create_task(hub.session.run(), name=f"broker {settings.text}")
        station = Station(device, understood, self._sink, self._clock)
        hub.add(station)
        self._stations[device.number] = (hub, station)

    def _watched(self, device: int) -> tuple[_Hub, Station]:
        if device not in self._stations:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self._stations[device]
