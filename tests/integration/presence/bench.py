"""A real room with one device, and the watch that ingest keeps of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gateway.adapter import Workplace, protocols
from gateway.collector import Collector
from gateway.slots import scans_of
from muster.clock import SECOND_US, SystemClock
from muster.device import Device, ReportMode, Tag
from muster.presence import Definition, State
from muster.watch import Watch

CLOCK = SystemClock()
INTERVAL_S = 1.0
WINDOW_US = Definition().window_us(INTERVAL_S)


class Bench:
    """What the room tells goes through the gateway's collector into the watch."""

    def __init__(
        self,
        protocol: str,
        folder: Path,
        connection: dict[str, Any],
        address: dict[str, Any],
        mode: ReportMode,
        kind: str = "float64",
    ) -> None:
        self.collector = Collector(1)
        now = CLOCK.now_us()
        self.collector.begin(now)
        self.watch = Watch(now)
        self.watch.keep(np.array([1], np.int32), np.array([WINDOW_US]))
        self.room = protocols()[protocol].create(self.collector, CLOCK, Workplace(1, "g", folder / protocol))
        tags = [Tag(1, "t", kind, address)]
        self.device = Device(1, 1, "d", "d", 1, protocol, connection, mode, INTERVAL_S, tags)

    def state(self) -> State:
        """Return the state now."""
        now = CLOCK.now_us()
        slot = self.collector.cut(now)
        self.watch.advance(scans_of([slot]), slot.events, now)
        return self.watch.state_of(1)

    def after_silence(self) -> State:
        """Return the state that a whole window without a sign would bring."""
        self.state()
        later = Watch.from_bytes(self.watch.to_bytes())
        later.advance(scans_of([]), [], CLOCK.now_us() + WINDOW_US + SECOND_US)
        return later.state_of(1)

    def told(self, kind: str) -> int:
        """Return how many events of a kind the room said."""
        return self.collector.events.get(kind, 0)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that must come."""
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.02)

    async def becomes(self, state: State, silent: State | None = None) -> None:
        """Wait until the device is in a state, and would be in another after silence."""
        await self.until(lambda: self.state() is state and (silent is None or self.after_silence() is silent))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let the room watch the device."""
        task = asyncio.create_task(self.room.run())
        try:
            await self.room.configure({1: self.device})
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
