"""A Modbus line with stations on it, moved by hand: no socket, no real clock."""

import asyncio
from typing import Any

import pytest

from gateway.adapters.modbus import line as lines
from gateway.adapters.modbus.decode import Decoders
from gateway.adapters.modbus.harvest import Harvest
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.pdu import Request, Silence
from gateway.adapters.modbus.rest import Rest
from gateway.adapters.modbus.station import Station
from muster.clock import ManualClock
from muster.device import Tag
from muster.events import TextReading
from tests.hearing import Hearing, Seen
from tests.unit.modbus.documents import device, tag, understood


class FakeLink:
    """A link that remembers what it was told to send."""

    def __init__(self) -> None:
        self.ended = ""
        self.sent: list[Request] = []
        self.closed = False
        self.begun = 0
        self.in_step_again = True

    def send(self, request: Request) -> float:
        self.sent.append(request)
        return 0.0

    def forget(self) -> int:
        return self.begun

    def resynchronise(self) -> bool:
        return self.in_step_again

    def close(self) -> None:
        self.closed = True


class Heard(Hearing[tuple[int, list[float], list[int] | None]]):
    """Keeps scans as device, values and qualities."""

    def keep(self, seen: Seen) -> None:
        quality = None if seen.quality is None else seen.quality.tolist()
        self.scans.append((seen.device, seen.value.tolist(), quality))

    def text(self, reading: TextReading) -> None:
        raise AssertionError(reading)


class Bench:
    """A line with stations, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.links: list[FakeLink] = []
        self.refuse_with: Silence | None = None
        monkeypatch.setattr(lines, "open_link", self._open)
        monkeypatch.setattr(lines, "_BREATH_S", 0.0)
        self.clock = ManualClock()
        self.sink = Heard()
        self.harvest = Harvest(self.sink, self.clock, lambda error: None)
        self.decoders = Decoders()
        self.busy: set[Line] = set()
        self.downs: list[str] = []
        self.again: list[int] = []
        self.line = Line(
            understood(tag(1, "uint16", register=0)).connection.line,
            lambda: None,
            lambda reason, detail: self.downs.append(reason),
            self.busy,
            self.harvest.lull,
            self.clock.monotonic,
        )
        self.rest = Rest(1.0)
        self.task = asyncio.create_task(self.line.run())

    async def _open(self, settings: Any, listener: Any, timeout_s: float) -> FakeLink:
        if self.refuse_with is not None:
            raise self.refuse_with
        self.links.append(FakeLink())
        return self.links[-1]

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    def station(self, *tags: Tag, number: int = 1, **connection: Any) -> Station:
        document = device(*tags, **connection)
        return Station(
            document.__class__(**{**_fields(document), "number": number}),
            understood(*tags, **connection),
            self.line,
            self.rest,
            self.sink,
            self.clock,
            self.again.append,
            lambda station: None,
            self.harvest,
            self.decoders,
        )

    def due(self, station: Station, missed: int = 0) -> None:
        station.due(self.clock.monotonic(), self.clock.now_us(), missed)

    def answer(self, values: bytes) -> None:
        self.line.answered(memoryview(values))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.line.tick(self.clock.monotonic())


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
