"""A Modbus room at work in a test: its devices, and everything it put into its sink."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.adapter import Workplace
from gateway.adapters.modbus.room import ModbusRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.scans import How
from tests.hearing import Hearing, Seen


class Recorder(Hearing[Seen]):
    """A sink that keeps everything; what is polled is solicited."""

    def keep(self, seen: Seen) -> None:
        assert seen.how is How.SOLICITED
        self.scans.append(seen)

    def of(self, device: int) -> list[Seen]:
        """Return a device's scans."""
        return [scan for scan in self.scans if scan.device == device]


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
