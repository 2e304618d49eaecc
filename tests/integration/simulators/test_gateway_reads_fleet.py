"""The gateway's Modbus room reads the whole demo fleet by the fleet's own book."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.adapter import Workplace, protocols
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.events import Event, TextReading
from simulators.fleet.book import demo_book
from tests.hearing import Hearing, Seen
from tests.integration.simulators.fleets import working

DEVICES = 520
WORKPLACE = Workplace(1, "test", Path("rooms"))


class Basket(Hearing[Seen]):
    """A sink that keeps the newest scan and the identities of each device."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[int, NDArray[np.float64]] = {}
        self.origins: dict[int, str | None] = {}
        self.serials: dict[int, str] = {}
        self.errors: list[Event] = []

    def keep(self, seen: Seen) -> None:
        assert seen.first == 1
        assert seen.quality is None
        self.newest[seen.device] = seen.value

    def text(self, reading: TextReading) -> None:
        raise AssertionError(f"no tag of the fleet is text: {reading}")

    def event(self, event: Event) -> None:
        if event.kind == "identity":
            self.origins[event.device] = event.origin
            self.serials[event.device] = event.detail["sunspec"]["serial_number"]
        elif (
            event.kind == "error" and event.reason != "modbus.not-connected"
        ):  # said of polls before the session
            self.errors.append(event)


def documents(book: dict[str, Any]) -> dict[int, Device]:
    """Return the book's devices as a gateway is told of them."""
    models = {model["code"]: model for model in book["models"]}
    found = {}
    for number, device in enumerate(book["devices"], 1):
        model = models[device["model"]]
        tags = [
            Tag(
                position=position,
                **{key: tag[key] for key in tag if key != "label"},
            )
            for position, tag in enumerate(model["tags"], 1)
        ]
        found[number] = Device(
            number, 1, device["code"], device["name"], 1, "modbus", device["connection"],
            ReportMode.POLLED, model["interval_s"], tags,
        )  # fmt: skip
    return found


async def test_every_device_is_read_whole_within_its_limits_and_known_as_a_simulator() -> None:
    async with working(DEVICES) as fleet:
        ports = [endpoint.port for endpoint in fleet.endpoints]
        devices = documents(demo_book(DEVICES, 1, "127.0.0.1", ports, "demo-1"))
        basket = Basket()
        room = protocols()["modbus"].create(basket, SystemClock(), WORKPLACE)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(room.run())
            await room.configure(devices)
            async with asyncio.timeout(90):
                while len(basket.newest) < DEVICES or len(basket.origins) < DEVICES:
                    await asyncio.sleep(0.1)
            work.cancel()
    assert basket.errors == []
    assert set(basket.origins.values()) == {"simulated"}
    serials = {station.code: station.serial_number for station in fleet.stations.values()}
    for number, device in devices.items():
        assert basket.serials[number] == serials[device.code]
        assert len(basket.newest[number]) == len(device.tags)
        for tag, value in zip(device.tags, basket.newest[number].tolist(), strict=True):
            assert tag.low is None or value >= tag.low - 1e-3, (device.code, tag.name, value)
            assert tag.high is None or value <= tag.high + 1e-3, (device.code, tag.name, value)
    shown = {device.code: basket.newest[number] for number, device in devices.items()}
    power = next(tag.position for tag in devices[1].tags if tag.name == "active_power")
    assert devices[1].code == "EAF-001"
    assert np.isfinite(shown["EAF-001"][power - 1])


async def test_a_setpoint_written_by_the_gateway_moves_the_machine() -> None:
    async with working(60) as fleet:
        ports = [endpoint.port for endpoint in fleet.endpoints]
        devices = documents(demo_book(60, 1, "127.0.0.1", ports, "demo-1"))
        number, pump = next((n, d) for n, d in devices.items() if d.code == "P-001")
        tags = {tag.name: tag.position for tag in pump.tags}
        basket = Basket()
        room = protocols()["modbus"].create(basket, SystemClock(), WORKPLACE)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(room.run())
            await room.configure(devices)
            async with asyncio.timeout(30):
                while len(basket.newest) < len(devices):
                    await asyncio.sleep(0.05)
            (before,) = await room.read(number, [tags["power"]])
            assert (await room.write(number, tags["speed_setpoint"], 40.0)).value == 40.0
            assert (await room.write(number, tags["start"], 1.0)).value == 1.0
            for _ in range(30):
                fleet.step(1.0)
            (after,) = await room.read(number, [tags["power"]])
            work.cancel()
    assert isinstance(before.value, float)
    assert isinstance(after.value, float)
    assert after.value < before.value / 2
