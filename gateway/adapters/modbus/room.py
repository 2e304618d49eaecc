"""The Modbus room: lines, stations and the one timer that polls them all.

A single timer wakes every 50 ms, looks for requests that waited too long, and puts the polls that are due into
their lines' queues; answers come as callbacks. No task and no future stands for a poll.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from gateway.adapter import Diagnostics, Sink, Value
from gateway.adapters.modbus import access
from gateway.adapters.modbus.config import SLOT_S, LineSettings, understand
from gateway.adapters.modbus.identification import identify, origin_of
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.pdu import Silence
from gateway.adapters.modbus.schedule import Schedule
from gateway.adapters.modbus.station import Station
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError
from muster.events import Event

_log = structlog.get_logger()


class _Post:
    """A line with its stations and the task that keeps it connected."""

    def __init__(self, room: "ModbusRoom", settings: LineSettings) -> None:
        self.room = room
        self.stations: dict[int, Station] = {}
        self.line = Line(settings, self.up, self.down)
        self.task = asyncio.create_task(self.line.run(), name=f"line {settings.text}")
        self.identifying: asyncio.Task[None] | None = None

    def up(self) -> None:
        for station in self.stations.values():
            station.session_up()
        self.identify(list(self.stations.values()))

    def down(self, reason: str, detail: dict[str, int | str]) -> None:
        for station in self.stations.values():
            station.session_down(reason, detail)

    def identify(self, stations: list[Station]) -> None:
        """Ask these stations what they are, one after another, beside the polls."""
        earlier = self.identifying

        async def work() -> None:
            if earlier is not None:
                await asyncio.wait({earlier})
            for station in stations:
                try:
                    evidence = await identify(self.line, station.understood.connection)
                except Silence:
                    continue
                if evidence:
                    station.identified(evidence, origin_of(evidence))

        self.identifying = asyncio.create_task(work(), name=f"identify {self.line.settings.text}")

    async def end(self) -> None:
        tasks = [task for task in (self.task, self.identifying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ModbusRoom:
    """Polls Modbus devices over any number of lines."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._schedule = Schedule()
        self._posts: dict[LineSettings, _Post] = {}
        self._stations: dict[int, tuple[_Post, Station]] = {}
        self._refused: dict[int, Device] = {}

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        slot = 0
        try:
            while True:
                slot = max(slot + 1, int((loop.time() - begin) / SLOT_S))
                await asyncio.sleep(begin + slot * SLOT_S - loop.time())
                self._tick(slot, loop.time())
        finally:
            for _, station in self._stations.values():
                station.stop()
            for post in list(self._posts.values()):
                await post.end()
            self._posts.clear()
            self._stations.clear()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        for number, (_, station) in list(self._stations.items()):
            if devices.get(number) != station.device:
                self._remove(number)
        for number, device in devices.items():
            if number not in self._stations and self._refused.get(number) != device:
                self._add(device)
        self._refused = {n: d for n, d in self._refused.items() if devices.get(n) == d}
        for settings, post in list(self._posts.items()):
            if not post.stations:
                del self._posts[settings]
                await post.end()

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache."""
        post, station = self._watched(device)
        return await access.read_now(post.line, station, positions, self._clock)

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back."""
        post, station = self._watched(device)
        return await access.write_now(post.line, station, position, value, self._clock)

    async def browse(self, device: int) -> list[dict[str, Any]]:
        """Refuse: Modbus has no directory of registers."""
        raise RequestError(
            "Modbus equipment does not say which registers it has; see its manual",
            status=422,
            code="cannot-browse",
        )

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._stations[device][1].report()

    def _tick(self, slot: int, now: float) -> None:
        for post in self._posts.values():
            post.line.tick(now)
        monotonic = self._clock.monotonic()
        full = self._sink.full
        for number, missed in self._schedule.due(slot):
            post, station = self._stations[number]
            for _ in range(missed):
                station.skip("gateway-late")
            if full:
                continue
            if not post.line.connected:
                if post.line.tried:  # before that, polling has not begun
                    station.skip(post.line.reason)
            elif station.queued:
                station.skip("modbus.slow")
            elif monotonic < station.not_before:
                station.skip(station.waiting_for)
            else:
                station.begin()
                post.line.put(station)

    def _add(self, device: Device) -> None:
        try:
            understood = understand(device)
        except ConfigError as error:
            self._refused[device.number] = device
            self._sink.event(
                Event(
                    "error",
                    device.number,
                    self._clock.now_us(),
                    reason="configuration-wrong",
                    detail={"problem": str(error)},
                )
            )
            return
        connection = understood.connection
        post = self._posts.get(connection.line)
        if post is None:
            post = self._posts[connection.line] = _Post(self, connection.line)
        post.line.connect_timeout_s = connection.connect_timeout_ms / 1000
        post.line.backoff_max_s = connection.backoff_max_s
        station = Station(device, understood, self._sink, self._clock)
        post.stations[device.number] = station
        self._stations[device.number] = (post, station)
        self._schedule.add(device.number, device.interval_s)
        if post.line.connected:
            station.session_up()
            post.identify([station])

    def _remove(self, number: int) -> None:
        post, station = self._stations.pop(number)
        self._schedule.remove(number)
        del post.stations[number]
        station.stop()

    def _watched(self, device: int) -> tuple[_Post, Station]:
        if device not in self._stations:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self._stations[device]
