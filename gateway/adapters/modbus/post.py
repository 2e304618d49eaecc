"""A line with its stations, the task that keeps it connected, and the one that asks its devices what they are."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

from gateway.adapter import Sink
from gateway.adapters.modbus.config import LineSettings, Understood
from gateway.adapters.modbus.decode import Decoders
from gateway.adapters.modbus.harvest import Harvest
from gateway.adapters.modbus.identification import identify, origin_of
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.pdu import Silence, Violation
from gateway.adapters.modbus.rest import Rest
from gateway.adapters.modbus.station import Station
from muster.clock import Clock
from muster.device import Device

_FIRST_REST_S = 1.0
_DEAF_S = 3600.0
"""A device that stayed silent when asked for its identification is not asked again for this long."""


class Post:
    """One line of the room. Its tasks belong to the room's group."""

    def __init__(
        self,
        settings: LineSettings,
        busy: set[Line],
        sink: Sink,
        harvest: Harvest,
        decoders: Decoders,
        group: asyncio.TaskGroup,
    ) -> None:
        self.stations: dict[int, Station] = {}
        self.line = Line(settings, self._up, self._down, busy, harvest.lull, harvest.now)
        self._sink = sink
        self._harvest = harvest
        self._decoders = decoders
        self._group = group
        self._rests: dict[int, Rest] = {}
        self._unidentified: deque[Station] = deque()
        self._identifying: asyncio.Task[None] | None = None
        self._running = group.create_task(self.line.run(), name=f"line {settings.text}")

    def add(
        self, device: Device, understood: Understood, clock: Clock, again: Callable[[int], None]
    ) -> Station:
        """Take a device onto the line."""
        connection = understood.connection
        rest = self._rests.setdefault(connection.unit, Rest(_FIRST_REST_S, random.Random()))
        station = Station(
            device,
            understood,
            self.line,
            rest,
            self._sink,
            clock,
            again,
            self._identify,
            self._harvest,
            self._decoders,
        )
        self.stations[device.number] = station
        self._settle()
        if self.line.connected:
            station.session_up()
        return station

    def remove(self, number: int, reason: str) -> None:
        """Let a device leave the line."""
        self._harvest.settle()
        self.stations.pop(number).stop(reason)
        self._settle()

    async def end(self) -> None:
        """Close the line."""
        tasks = [task for task in (self._running, self._identifying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self) -> None:
        """Let the line follow the devices it has now; the most patient one decides."""
        connections = [station.understood.connection for station in self.stations.values()]
        self.line.alone = len(connections) <= 1
        if connections:
            self.line.connect_timeout_s = max(one.connect_timeout_ms for one in connections) / 1000
            self.line.backoff_max_s = min(one.backoff_max_s for one in connections)

    def _up(self) -> None:
        for station in self.stations.values():
            station.session_up()

    def _down(self, reason: str, detail: dict[str, int | str]) -> None:
        self._harvest.settle()  # what came before the end is said before it
        for station in self.stations.values():
            station.session_down(reason, detail)

    def _identify(self, station: Station) -> None:
        """Ask a station what it is, after those that wait for the same, beside the polls."""
        station.identifying()
        self._unidentified.append(station)
        if self._identifying is None or self._identifying.done():
            name = f"identify {self.line.settings.text}"
            self._identifying = self._group.create_task(self._identify_all(), name=name)

    async def _identify_all(self) -> None:
        while self._unidentified:
            station = self._unidentified.popleft()
            if self.stations.get(station.device.number) is not station:
                continue
            heard = self.line.now() >= station.silent_until
            try:
                evidence = await identify(self.line, station.understood.connection, ask_objects=heard)
            except (Silence, Violation):
                continue  # it is asked again with its next session, or when it answers after a silence
            if evidence.silent and heard:
                station.silent_until = self.line.now() + _DEAF_S
            facts = evidence.facts
            if evidence.silent and "device_identification" in station.identity:
                facts = {"device_identification": station.identity["device_identification"], **facts}
            station.identified(facts, origin_of(facts))
