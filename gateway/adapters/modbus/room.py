"""The Modbus room: lines, stations and the one timer that polls them all.

A single timer wakes every 50 ms, looks at the lines whose request waits too long, and puts the polls that are due
into their lines; answers come as callbacks. No task, timer or future stands for a poll.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from gateway.adapter import Certificate, Diagnostics, Found, Sink, Value, Workplace
from gateway.adapters.modbus import access
from gateway.adapters.modbus.config import SLOT_S, LineSettings, understand
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.post import Post
from gateway.adapters.modbus.schedule import Schedule
from gateway.adapters.modbus.station import Station
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError
from muster.events import Event

_AT_ONCE = 10
_RETRY_S = 5.0
"""How soon a device with a long interval is polled again after a poll that brought nothing."""


class ModbusRoom:
    """Polls Modbus devices over any number of lines."""

    def __init__(self, sink: Sink, clock: Clock, _workplace: Workplace) -> None:
        self._sink = sink
        self._clock = clock
        self._schedule: Schedule[Station] = Schedule()
        self._busy: set[Line] = set()
        self._posts: dict[LineSettings, Post] = {}
        self._stations: dict[int, tuple[Post, Station]] = {}
        self._refused: dict[int, Device] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

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
        slot = 0
        try:
            while True:
                slot = max(slot + 1, int((loop.time() - begin) / SLOT_S))
                await asyncio.sleep(begin + slot * SLOT_S - loop.time())
                self._tick(slot, loop.time())
        finally:
            for _, station in self._stations.values():
                station.stop("gateway-stopped")
            for post in list(self._posts.values()):
                await post.end()
            self._posts.clear()
            self._stations.clear()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        for number, (_, station) in list(self._stations.items()):
            if devices.get(number) != station.device:
                self._remove(number)
        for count, (number, device) in enumerate(devices.items(), 1):
            if number not in self._stations and self._refused.get(number) != device:
                self._add(device)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)  # polls go on while hundreds of devices are understood
        self._refused = {n: d for n, d in self._refused.items() if devices.get(n) == d}
        for settings, post in list(self._posts.items()):
            if not post.stations:
                del self._posts[settings]
                await post.end()

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache."""
        post, station = self._watched(device)
        return await access.read_now(post.line, station.understood, positions, self._clock)

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back."""
        post, station = self._watched(device)
        return await access.write_now(post.line, station.understood, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell the models of a SunSpec device; others have no directory, and that is said."""
        post, station = self._watched(device)
        found = await access.browse_now(post.line, station.understood)
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Refuse: registers do not say what they are, so the device's tags are written first."""
        raise RequestError(
            "Modbus has no directory of registers: give the device its tags", code="no-directory"
        )

    def certificates(self) -> list[Certificate]:
        """Return none: a TLS line trusts the authorities of its `ca_file`."""
        return []

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Refuse: there are none to decide on."""
        raise RequestError(f"no certificate {thumbprint}", status=404, code="unknown-certificate")

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._stations[device][1].report()

    def _tick(self, slot: int, now: float) -> None:
        for line in tuple(self._busy):
            line.tick(now)
        full = self._sink.full
        now_us = self._clock.now_us()
        for station, missed in self._schedule.due(slot):
            if not full:  # the gateway itself lists the gap of a full outbox
                station.due(now, now_us, missed)

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
        settings = understood.connection.line
        post = self._posts.get(settings)
        if post is None:
            assert self._group is not None
            post = self._posts[settings] = Post(settings, self._busy, self._group)
        station = post.add(device, understood, self._sink, self._clock, self._again)
        self._stations[device.number] = (post, station)
        self._schedule.add(device.number, station, device.interval_s)

    def _again(self, number: int) -> None:
        self._schedule.again(number, _RETRY_S * random.uniform(0.8, 1.2))

    def _remove(self, number: int) -> None:
        post, _ = self._stations.pop(number)
        self._schedule.remove(number)
        post.remove(number, "modbus.reconfigured")

    def _watched(self, device: int) -> tuple[Post, Station]:
        if device not in self._stations:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self._stations[device]
