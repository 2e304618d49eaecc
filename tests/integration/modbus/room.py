"""A Modbus room at work in a test: its devices, and everything it put into its sink."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.adapter import Workplace
from gateway.adapters.modbus.room import ModbusRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.events import Event, TextReading
from muster.scans import How


@dataclass(frozen=True, slots=True)
class Seen:
    """One scan as the room gave it."""

    device: int
    received: int
    first: int
    value: NDArray[np.float64]
    quality: NDArray[np.int16] | None


class Recorder:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.scans: list[Seen] = []
        self.texts: list[TextReading] = []
        self.events: list[Event] = []
        self.full = False

    def scan(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        assert how is How.SOLICITED
        self.scans.append(Seen(device, received, first, value, quality))

    def text(self, reading: TextReading) -> None:
        self.texts.append(reading)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def of(self, device: int) -> list[Seen]:
        """Return a device's scans."""
        return [scan for scan in self.scans if scan.device == device]

    def said(self, kind: str, device: int | None = None) -> list[Event]:
        """Return the events of a kind."""
        return [one for one in self.events if one.kind == kind and device in (None, one.device)]


def tag(position: int, name: str, kind: str, **address: Any) -> Tag:
    """Return a tag; keywords that are no part of an address go to the tag."""
    own = {key: address.pop(key) for key in ("scale", "offset", "writable", "low", "high") if key in address}
    return Tag(position=position, name=name, type=kind, address=address, **own)


def device(number: int, tags: list[Tag], interval_s: float = 0.1, **connection: Any) -> Device:
    """Return a device on loopback."""
    if connection.get("transport", "tcp") != "rtu":
        connection.setdefault("host", "127.0.0.1")
    connection.setdefault("timeout_ms", 300)
    return Device(
        number=number,
        version=1,
        code=f"D-{number}",
        name=f"{number}号设备",
        enterprise=1,
        protocol="modbus",
        connection=connection,
        report_mode=ReportMode.POLLED,
        interval_s=interval_s,
        tags=tags,
    )


@asynccontextmanager
async def working(*devices: Device) -> AsyncIterator[tuple[ModbusRoom, Recorder]]:
    """Run a room that watches these devices."""
    recorder = Recorder()
    room = ModbusRoom(recorder, SystemClock(), Workplace(1, "test", Path("rooms")))
    task = asyncio.create_task(room.run())
    await room.configure({one.number: one for one in devices})
    try:
        yield room, recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)
