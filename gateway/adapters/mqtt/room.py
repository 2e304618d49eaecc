"""The MQTT room: one session for each broker, and the devices whose topics it hears."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.adapter import Found, Sink, Value, Workplace
from gateway.adapters.mqtt import commands
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings, Message
from gateway.adapters.mqtt.config import understand
from gateway.adapters.mqtt.discovery import Ear, leaves
from gateway.adapters.mqtt.house import BrokerRoom, may_have_been_held
from gateway.adapters.mqtt.station import Station, Take
from gateway.adapters.mqtt.topics import Directory, check_filter
from gateway.checks import validated
from muster.clock import Clock
from muster.device import Device
from muster.errors import Unavailable

_SETTLE_S = 0.02
_ROADS_KEPT = 16_384


class _Hub:
    """One broker with its devices."""

    def __init__(
        self, settings: BrokerSettings, workplace: Workplace, sink: Sink, clock: Clock, *, fresh: bool
    ) -> None:
        self.stations: dict[int, Station] = {}
        self._clock = clock
        self._directory: Directory[Station] = Directory()
        self._roads: dict[str, list[Take]] = {}
        """Topic → what is to be done with its messages, as far as that was asked."""
        self._away_since: int | None = None
        self._reason: tuple[str, dict[str, Any]] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.session = BrokerSession(
            settings, workplace, sink, clock, self._message, self._up, self._down, fresh=fresh
        )
        self.session.on_refused = self._refused

    @property
    def empty(self) -> bool:
        """Whether no device is left."""
        return not self.stations

    def add(self, station: Station) -> None:
        """Hear a device."""
        self.stations[station.device.number] = station
        for name in station.understood.filters:
            self._directory.add(name, station)
        self._roads.clear()
        if self.session.connected:
            station.broker_up(None, False, self._clock.now_us())
        elif self._reason is not None:
            station.broker_down(*self._reason, self._clock.now_us())
        self._settle()

    def remove(self, number: int) -> None:
        """Hear a device no more."""
        station = self.stations.pop(number)
        self._directory.remove(lambda one: one is station)
        self._roads.clear()
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
        topic = message.topic
        road = self._roads.get(topic)
        if road is None:
            if len(self._roads) >= _ROADS_KEPT:
                self._roads.clear()
            road = [take for station in self._directory.find(topic) for take in station.road(topic)]
            self._roads[topic] = road
        for take in road:
            take(message)

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


class MqttRoom(BrokerRoom[_Hub, Station]):
    """Hears MQTT devices."""

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag by its command topic and return what reads back, or was confirmed."""
        hub, station = self._roster.of(device)
        return await commands.write(hub.session, station, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell what stood in the newest payloads of the device's topics."""
        _, station = self._roster.of(device)
        found = [one for topic, document in station.documents() for one in leaves(topic, document)]
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Listen under `connection.topic`, or to everything, and propose a tag for each leaf of what comes."""
        topic = str(connection.get("topic", "#"))
        check_filter(topic, "connection.topic")
        settings = validated(BrokerSettings, connection.get("broker"), "connection.broker")
        ear = Ear()
        problem = await self._listen(settings, topic, wait_s, ear.hear, lambda session: None)
        found = ear.found(search)
        if problem and not found:
            raise Unavailable(problem)
        return found

    def _add(self, device: Device) -> tuple[_Hub, Station]:
        understood = understand(device)
        settings = understood.connection.broker
        hub = self._hub(
            settings,
            lambda: _Hub(
                settings, self._workplace, self._sink, self._clock, fresh=may_have_been_held(device)
            ),
        )
        station = Station(device, understood, self._sink, self._clock)
        hub.add(station)
        return hub, station
