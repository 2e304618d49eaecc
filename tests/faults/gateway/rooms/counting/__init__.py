"""A tiny room for the gateway's own tests: polls counting equipment over one TCP line per device.

The equipment answers every poll with how many polls it has answered so far, so every answer has a name.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from gateway.adapter import Certificate, Description, Diagnostics, Found, Sink, Value, Workplace
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError, Unavailable
from muster.events import Event
from muster.scans import How


class Connection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int
    explode: bool = False


class Address(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CountingRoom:
    """One task per device; `explode` in a connection makes the whole room fail, as a defect would."""

    def __init__(self, sink: Sink, clock: Clock, _workplace: Workplace) -> None:
        self._sink = sink
        self._clock = clock
        self._devices: Mapping[int, Device] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._counters: dict[int, Diagnostics] = {}
        self._configured: list[tuple[int, int]] = []
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._start()
            await asyncio.get_running_loop().create_future()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        for number, task in list(self._tasks.items()):
            if devices.get(number) != self._devices.get(number):
                task.cancel()
                del self._tasks[number]
        self._devices = dict(devices)
        self._start()

    def _start(self) -> None:
        if self._group is not None:
            for number, device in self._devices.items():
                if number not in self._tasks:
                    self._counters[number] = Diagnostics()
                    self._tasks[number] = self._group.create_task(self._watch(device))

    async def _watch(self, device: Device) -> None:
        connection = Connection.model_validate(device.connection)
        if connection.explode:
            raise RuntimeError("a defect of the room")
        counters = self._counters[device.number]
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", connection.port)
            except OSError:
                self._sink.event(
                    Event("error", device.number, self._clock.now_us(), reason="connection-refused")
                )
                await asyncio.sleep(0.1)
                continue
            self._sink.event(Event("session_up", device.number, self._clock.now_us()))
            counters.session = "up"
            try:
                await self._poll(device, reader, writer, counters)
            except (OSError, asyncio.IncompleteReadError):
                self._sink.event(
                    Event("session_down", device.number, self._clock.now_us(), reason="connection-lost")
                )
            finally:
                counters.session = "down"
                writer.close()

    async def _poll(
        self,
        device: Device,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        counters: Diagnostics,
    ) -> None:
        while True:
            began = time.monotonic()
            if not self._sink.full:
                counters.polls += 1
                writer.write(b"%d\n" % device.number)
                count = int(await reader.readuntil(b"\n"))
                counters.answers += 1
                now = counters.last_good = self._clock.now_us()
                self._sink.scan(
                    device.number, now, now, 1, np.array([float(count), 7.0]), None, How.SOLICITED
                )
            await asyncio.sleep(max(0, device.interval_s - (time.monotonic() - began)))

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        counters = self.diagnostics(device)
        if counters.session != "up":
            raise Unavailable(f"device {device}: no session")
        now = self._clock.now_us()
        return [Value(position, float(counters.answers), 0, now, now) for position in positions]

    async def write(self, device: int, position: int, value: float | str) -> Value:
        if value == "defect":
            raise ZeroDivisionError
        if isinstance(value, str):
            raise RequestError("not a number", code="not-a-number")
        now = self._clock.now_us()
        return Value(position, value, 0, now, now)

    async def browse(self, device: int, search: str) -> list[Found]:
        raise RequestError("this protocol cannot browse", code="no-browse")

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        raise RequestError("this protocol cannot discover", code="no-browse")

    def certificates(self) -> list[Certificate]:
        return []

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        raise RequestError("there are no certificates", status=404, code="unknown-certificate")

    def diagnostics(self, device: int) -> Diagnostics:
        if device not in self._devices:
            raise KeyError(device)
        return self._counters[device]


def check(device: Device) -> None:
    """Refuse what the models do not."""
    with contextlib.suppress(ValueError):
        Connection.model_validate(device.connection)
        return
    raise ConfigError("connection: wrong")


DESCRIPTION = Description(
    name="counting",
    family="Test",
    connection=Connection,
    address=Address,
    types=frozenset({"float64"}),
    endpoint=lambda connection: str(connection),
    create=CountingRoom,
    check=check,
)
