"""The Modbus room: lines, stations and the one timer that polls them all.

A single timer wakes every 50 ms, looks at the lines whose request waits too long, and puts the polls that are due
into their lines; answers come as callbacks. No task, timer or future stands for a poll.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from gateway.adapter import Diagnostics, Found, Sink, Value, WithoutCertificates, Workplace
from gateway.adapters.modbus import access
from gateway.adapters.modbus.config import SLOT_S, LineSettings, understand
from gateway.adapters.modbus.decode import Decoders
from gateway.adapters.modbus.harvest import Harvest
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.post import Post
from gateway.adapters.modbus.schedule import Schedule
from gateway.adapters.modbus.station import Station
from gateway.roster import Roster
from muster.clock import Clock
from muster.device import Device
from muster.errors import RequestError

_RETRY_S = 5.0
"""How soon a device with a long interval is polled again after a poll that brought nothing."""


class ModbusRoom(WithoutCertificates):
    """Polls Modbus devices over any number of lines."""

    def __init__(self, sink: Sink, clock: Clock, _workplace: Workplace) -> None:
        self._sink = sink
        self._clock = clock
        self._schedule: Schedule[Station] = Schedule()
        self._busy: set[Line] = set()
        self._posts: dict[LineSettings, Post] = {}
        self._roster: Roster[Post, Station] = Roster(sink, clock)
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._harvest = Harvest(sink, clock, self._fail)
        self._decoders = Decoders()

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ready.set()
                await self._beat()
        finally:
            self._group = None

    async def _beat(self) -> None:
        """Wake in every slot; at the end, stop in good order."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        timer: asyncio.TimerHandle

        def wake(slot: int) -> None:
            nonlocal timer
            now = loop.time()
            try:
                self._tick(slot, now)
            except Exception as error:  # noqa: BLE001 - raised below, where the room is awaited
                self._fail(error)
                return
            slot = max(slot + 1, int((now - begin) / SLOT_S))
            timer = loop.call_at(begin + slot * SLOT_S, wake, slot)

        timer = loop.call_at(begin + SLOT_S, wake, 1)
        try:
            await self._failed
        finally:
            timer.cancel()
            self._harvest.settle()
            for _, station in self._roster.watched.values():
                station.stop("gateway-stopped")
            for post in list(self._posts.values()):
                await post.end()
            self._posts.clear()
            self._roster.watched.clear()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        await self._roster.configure(devices, self._add, self._remove)
        for settings, post in list(self._posts.items()):
            if not post.stations:
                del self._posts[settings]
                await post.end()

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache."""
        post, station = self._roster.of(device)
        return await access.read_now(post.line, station.understood, positions, self._clock)

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back."""
        post, station = self._roster.of(device)
        return await access.write_now(post.line, station.understood, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell the models of a SunSpec device; others have no directory, and that is said."""
        post, station = self._roster.of(device)
        found = await access.browse_now(post.line, station.understood)
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Refuse: registers do not say what they are, so the device's tags are written first."""
        raise RequestError(
            "Modbus has no directory of registers: give the device its tags", code="no-directory"
        )

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._roster.report(device)

    def _tick(self, slot: int, now: float) -> None:
        self._harvest.settle()
        for line in tuple(self._busy):
            line.tick(now)
        full = self._sink.full
        now_us = self._clock.now_us()
        for station, missed in self._schedule.due(slot):
            if not full:  # the gateway itself lists the gap of a full outbox
                station.due(now, now_us, missed)

    def _add(self, device: Device) -> tuple[Post, Station]:
        understood = understand(device)
        settings = understood.connection.line
        post = self._posts.get(settings)
        if post is None:
            assert self._group is not None
            post = self._posts[settings] = Post(
                settings, self._busy, self._sink, self._harvest, self._decoders, self._group
            )
        station = post.add(device, understood, self._clock, self._again)
        self._schedule.add(device.number, station, device.interval_s)
        return post, station

    def _again(self, number: int) -> None:
        self._schedule.again(number, _RETRY_S * random.uniform(0.8, 1.2))

    def _remove(self, post: Post, station: Station) -> None:
        self._schedule.remove(station.device.number)
        post.remove(station.device.number, "modbus.reconfigured")
