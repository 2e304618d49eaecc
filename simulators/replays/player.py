"""Playing a recording, row by row at its own rate: what every protocol shares, and the device book of it.

The number of the row that is shown, from 1, is the first tag, so that what is stored can be held against the file. The
device names itself a replay, and so does its book entry.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from simulators.modbus.identity import Identity
from simulators.replays.recording import Recording

ROW = "row"
_LONGEST_NAME = 48


class Player(ABC):
    """One device that shows a recording."""

    protocol: str
    report_mode: str

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.rows_shown = 0

    @abstractmethod
    async def open(self) -> None:
        """Be reachable. Raises Unavailable when a port is taken."""

    @abstractmethod
    async def close(self) -> None:
        """End, with every connection."""

    @abstractmethod
    async def show(self, row: int) -> None:
        """Let the device hold this row, counted from 0."""

    @abstractmethod
    def connection(self) -> dict[str, Any]:
        """Return how a gateway reaches the device."""

    @abstractmethod
    def tag(self, name: str, at: int) -> dict[str, Any]:
        """Return type and address of a column, `at` counted from 0, or of the row's number at -1."""

    async def run(self, speed: float, loop: bool) -> None:
        """Play to the end, `speed` times as fast as recorded; then again, or stand on the last row."""
        clock = asyncio.get_running_loop()
        due = clock.time()
        while True:
            for row in range(len(self.recording.rows)):
                await self.show(row)
                self.rows_shown += 1
                due += float(self.recording.lengths_s[row]) / speed
                await asyncio.sleep(due - clock.time())
            if not loop:
                await clock.create_future()


def identity(recording: Recording) -> Identity:
    """Return what the device says that it is."""
    name = recording.name.encode("ascii", "replace").decode()[:24]
    return Identity("replayed", "replay", "replay of a recording", name, f"REPLAY-{name}")


def book(player: Player, gateway: str, interval_s: float) -> dict[str, Any]:
    """Return the device book of a replay."""
    name = player.recording.name[:_LONGEST_NAME]
    tags: list[dict[str, Any]] = [{"name": ROW, "label": "行号", **player.tag(ROW, -1)}]
    tags += [{"name": column, **player.tag(column, at)} for at, column in enumerate(player.recording.columns)]
    return {
        "enterprises": [{"code": "replays", "name": "录像回放", "industry": "other"}],
        "models": [
            {
                "code": f"replay-{name}",
                "name": f"回放 {name}",
                "protocol": player.protocol,
                "device_class": "other",
                "kind": "replay",
                "report_mode": player.report_mode,
                "interval_s": interval_s,
                "tags": tags,
            }
        ],
        "devices": [
            {
                "enterprise": "replays",
                "gateway": gateway,
                "model": f"replay-{name}",
                "code": f"REPLAY-{name}",
                "name": f"回放 {name}",
                "origin": "replayed",
                "connection": player.connection(),
            }
        ],
    }
