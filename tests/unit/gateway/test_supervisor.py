"""The supervisor gives each room its devices, tells only rooms that a change concerns, and survives their failures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import supervisor as module
from gateway.adapter import Description, Diagnostics, Value, Workplace
from gateway.collector import Collector
from gateway.supervisor import Supervisor
from muster.clock import ManualClock
from muster.device import Device, ReportMode
from muster.errors import RequestError, Unavailable
from muster.events import Event
from tests.faults.gateway.rooms.counting import Address, Connection

CLOCK = ManualClock()


class Room:
    """A room that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[int, Device]] = []
        self.failing: str | None = None
        self.stopped = False
        self._end = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._end.wait()
            raise ZeroDivisionError
        finally:
            self.stopped = True

    def fail(self) -> None:
        self._end.set()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        self.told.append(dict(devices))
        if any(device.name == "poison" for device in devices.values()):
            raise ZeroDivisionError

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        raise Unavailable("no")

    async def write(self, device: int, position: int, value: float | str) -> Value:
        raise Unavailable("no")

    async def browse(self, device: int) -> list[dict[str, Any]]:
        return []

    def diagnostics(self, device: int) -> Diagnostics:
        return Diagnostics()


class Site:
    """Two protocols, `a` and `b`, and every room that was made for them."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[Room]] = {"a": [], "b": []}
        self.collector = Collector(1)
        self.collector.begin(CLOCK.now_us())
        self.supervisor = Supervisor(
            self.collector,
            CLOCK,
            {name: self.description(name) for name in ("a", "b")},
            Workplace(1, "test", Path("rooms")),
        )

    def description(self, name: str) -> Description:
        def create(*_: object) -> Room:
            self.rooms[name].append(Room())
            return self.rooms[name][-1]

        return Description(name, "Test", Connection, Address, frozenset(), str, create)

    def events(self) -> list[Event]:
        return self.collector.cut(CLOCK.now_us()).events


@asynccontextmanager
async def at_work() -> AsyncIterator[Site]:
    site = Site()
    task = asyncio.create_task(site.supervisor.run())
    try:
        yield site
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert all(room.stopped for rooms in site.rooms.values() for room in rooms)


def document(number: int, protocol: str, name: str = "x", version: int = 1) -> bytes:
    return msgspec.json.encode(
        Device(number, version, "C", name, 1, protocol, {}, ReportMode.POLLED, 1.0, [])
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


async def test_each_room_gets_its_devices_and_only_concerned_rooms_are_told() -> None:
    async with at_work() as site:
        first = {1: document(1, "a"), 2: document(2, "b"), 3: document(3, "a")}
        await site.supervisor.apply(first)
        await until(lambda: bool(site.rooms["a"] and site.rooms["b"]) and bool(site.rooms["b"][0].told))
        assert [set(told) for told in site.rooms["a"][0].told] == [{1, 3}]
        assert [set(told) for told in site.rooms["b"][0].told] == [{2}]
        await site.supervisor.apply(dict(first))
        await site.supervisor.apply(first | {3: document(3, "a", "renamed")})
        assert len(site.rooms["b"][0].told) == 1
        assert site.rooms["a"][0].told[-1][3].name == "renamed"
        await site.supervisor.apply(first | {3: document(3, "b")})
        assert set(site.rooms["a"][0].told[-1]) == {1}
        assert set(site.rooms["b"][0].told[-1]) == {2, 3}
        assert site.events() == []


async def test_a_device_that_leaves_is_said_and_one_whose_document_went_bad_is_watched_no_longer() -> None:
    async with at_work() as site:
        await site.supervisor.apply({1: document(1, "a"), 2: document(2, "a"), 3: document(3, "a")})
        await until(lambda: bool(site.rooms["a"]) and bool(site.rooms["a"][0].told))
        await site.supervisor.apply({2: b"{", 3: document(3, "pigeon")})
        assert site.rooms["a"][0].told[-1] == {}
        assert [(event.kind, event.device, event.reason) for event in site.events()] == [
            ("error", 2, "document-invalid"),
            ("error", 3, "unknown-protocol"),
            ("removed", 1, ""),
        ]
        await site.supervisor.apply({2: b"{", 3: document(3, "pigeon")})
        assert site.events() == [], "said once, not at every look"
        with pytest.raises(RequestError) as caught:
            site.supervisor.room(2)
        assert caught.value.status == 404


async def test_a_room_that_fails_is_made_anew_with_its_devices_and_its_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.05)
    async with at_work() as site:
        await site.supervisor.apply({1: document(1, "a"), 2: document(2, "b")})
        await until(lambda: all(rooms and rooms[0].told for rooms in site.rooms.values()))
        site.rooms["a"][0].fail()
        await until(lambda: site.rooms["a"][0].stopped)
        with pytest.raises(Unavailable):
            site.supervisor.room(1)
        await until(lambda: len(site.rooms["a"]) == 2 and bool(site.rooms["a"][1].told))
        assert set(site.rooms["a"][1].told[0]) == {1}
        assert len(site.rooms["b"]) == 1
        assert site.supervisor.room(1)[0] is site.rooms["a"][1]
        assert [(event.kind, event.device, event.reason) for event in site.events()] == [
            ("gap", 1, "room-failed")
        ]


async def test_a_room_that_cannot_take_a_device_does_not_stop_changes_for_others() -> None:
    async with at_work() as site:
        await site.supervisor.apply({1: document(1, "a"), 2: document(2, "b")})
        await until(lambda: all(rooms and rooms[0].told for rooms in site.rooms.values()))
        await site.supervisor.apply({1: document(1, "a", "poison"), 2: document(2, "b", "changed")})
        assert site.rooms["b"][0].told[-1][2].name == "changed"
