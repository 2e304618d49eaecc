"""A recording played over MQTT and OPC UA, as the gateway's own rooms see it: bit for bit, and named a replay."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from deploy.protocols import protocol_infos
from gateway.adapter import Room, Workplace, protocols
from muster.clock import Clock, SystemClock
from muster.device import Device, Origin, ReportMode, Tag
from simulators.modbus.ports import free_ports
from simulators.mqtt.link import Broker
from simulators.replays.mqtt import MqttPlayer
from simulators.replays.opcua import OpcuaPlayer
from simulators.replays.player import Player, book
from simulators.replays.recording import load
from simulators.serve import serve
from tests.hearing import Seen
from tests.integration.mqtt.brokers import mosquitto
from tests.integration.opcua.test_session import Recorder, until

ROWS = "flow RMS,温度,odd\n0.1,-0.0,1e300\n2,,5e-324\n-7.25,36.6,0.30000000000000004\n"


class Cells(Recorder):
    """Keeps every value as its bits, by position."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, set[bytes]] = {}

    def keep(self, seen: Seen) -> None:
        for at, cell in enumerate(seen.value, seen.first):
            self.held.setdefault(at, set()).add(cell.tobytes())


def document(player: Player) -> Device:
    """The one device of a replay's book, as a gateway is told of it."""
    told = book(player, "g", 0.2)
    (model,), (device,) = told["models"], told["devices"]
    assert device["origin"] == "replayed"
    tags = [
        Tag(position=at, **{key: tag[key] for key in tag if key != "label"})
        for at, tag in enumerate(model["tags"], 1)
    ]
    mode = ReportMode(model["report_mode"])
    made = Device(1, 1, "R", "R", 1, player.protocol, device["connection"], mode, 0.2, tags)
    protocol_infos()[player.protocol].validate(made)
    return made


def played(folder: Path, protocol: str, port: int, clock: Clock) -> Player:
    path = folder / "pump 1.csv"
    path.write_text(ROWS, "utf-8")
    if protocol == "opcua":
        return OpcuaPlayer(load(path), "127.0.0.1", port, clock)
    return MqttPlayer(load(path), Broker(port=port), {"host": "127.0.0.1", "port": port}, clock)


@pytest.mark.parametrize("protocol", ["mqtt", "opcua"])
async def test_every_value_arrives_and_the_device_says_that_it_is_a_replay(
    tmp_path: Path, protocol: str
) -> None:
    if protocol == "mqtt":
        with mosquitto(tmp_path) as broker:
            await watch(tmp_path, protocol, broker.port)
    else:
        await watch(tmp_path, protocol, free_ports(1)[0])


async def watch(folder: Path, protocol: str, port: int) -> None:
    clock = SystemClock()
    player = played(folder, protocol, port, clock)
    sink = Cells()
    room: Room = protocols()[protocol].create(sink, clock, Workplace(1, "g", folder / "room"))
    stop = asyncio.Event()
    serving = asyncio.create_task(serve([player], player.run(5.0, True), stop))
    running = asyncio.create_task(room.run())
    cells = [{cell.tobytes() for cell in column if not np.isnan(cell)} for column in player.recording.rows.T]

    def seen() -> bool:
        return all(column <= sink.held.get(at, set()) for at, column in enumerate(cells, 2))

    try:
        await room.configure({1: document(player)})
        await until(seen)
        await until(lambda: any(event.origin == Origin.REPLAYED for event in sink.events))
    finally:
        stop.set()
        running.cancel()
        await asyncio.gather(serving, running, return_exceptions=True)
