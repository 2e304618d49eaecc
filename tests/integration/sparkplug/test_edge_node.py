"""The room with real brokers and an edge node whose payloads come from npm's sparkplug-payload."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho

from gateway.adapter import Workplace
from gateway.adapters.sparkplug.room import SparkplugRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.errors import RequestError, Unavailable
from muster.quality import Quality
from muster.scans import How
from muster.sparkplug import DataType, Metric, Payload, encode
from tests.integration.mqtt.brokers import Broker, Outbox, mosquitto, nats, publisher, until
from tests.peers.npm import script

T = DataType
TAGS = [
    Tag(1, "t", "float64", {"metric": "T"}, unit="°C"),
    Tag(2, "negative", "int16", {"metric": "Negative"}, scale=0.5),
    Tag(3, "count", "uint32", {"metric": "Count"}),
    Tag(4, "on", "bool", {"metric": "On"}),
    Tag(5, "recipe", "string", {"metric": "Recipe"}),
    Tag(6, "setpoint", "float64", {"metric": "Setpoint"}, writable=True, low=0, high=100),
    Tag(7, "zone b", "float64", {"metric": "Zones", "column": "actual", "row": 1}),
    Tag(8, "speed", "int32", {"metric": "Motor", "member": ["Speed"]}),
    Tag(9, "empty", "float64", {"metric": "Empty"}),
]


@pytest.fixture(scope="module", params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    with nats(folder) if request.param == "nats" else mosquitto(folder) as one:
        yield one


def a_device(broker: Broker, node: str, scope: str | None = "press", number: int = 1, **more: Any) -> Device:
    connection = {"broker": broker.at, "group": "plant", "edge_node": node, **more}
    if scope is not None:
        connection["device"] = scope
    mode = ReportMode.PERIODIC
    return Device(number, 1, "d", "压力机", 1, "sparkplug", connection, mode, 1.0, TAGS)


@asynccontextmanager
async def working(folder: Path, *devices: Device) -> AsyncIterator[tuple[SparkplugRoom, Outbox]]:
    """Run a room that watches these devices."""
    sink = Outbox()
    room = SparkplugRoom(sink, SystemClock(), Workplace(1, "test", folder / "sparkplug"))
    task = asyncio.create_task(room.run())
    await room.configure({one.number: one for one in devices})
    try:
        yield room, sink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def said(log: Path) -> list[dict[str, Any]]:
    """Return the commands that the edge node read."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]


async def test_an_edge_node_that_nobody_here_wrote_is_read_counted_and_written(
    broker: Broker, tmp_path: Path
) -> None:
    log = tmp_path / "edge.log"
    node = "线-1" if broker.log.name == "nats.log" else "线 1"  # NATS knows no spaces
    with script("sparkplug", "edge.cjs", log, str(broker.port), node, "7"):
        async with working(tmp_path, a_device(broker, node)) as (room, sink):
            await until(lambda: len(sink.values()) >= 3)
            births = [one for one in sink.scans if one.how is How.HISTORY]
            assert births
            assert births[0].value[[1, 2, 3, 5, 6, 7]].tolist() == [-1.0, 4e9, 1.0, 50.5, 2.5, -1500.0]
            assert births[0].quality is not None
            assert births[0].quality.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, Quality.NO_VALUE]
            assert (sink.texts[0].position, sink.texts[0].value) == (5, "配方 7")
            live = [one for one in sink.scans if one.how is How.UNSOLICITED][-1]
            turn = live.value[0]
            assert live.value[:4].tolist() == [turn, -turn / 2, 4e9 + turn, float(turn % 2 == 0)]
            assert abs(live.received - live.time) < 5_000_000
            assert sink.reasons("session_down") == []
            assert len(sink.said("session_up")) >= 1
            (identity,) = sink.said("identity")
            assert identity.detail["Hardware Make"] == "Honest Works"
            assert identity.origin is None

            (rebirth,) = [one for one in said(log) if one["where"].startswith("spBv1.0/plant/NCMD")]
            assert (rebirth["name"], rebirth["type"], rebirth["value"]) == (
                "Node Control/Rebirth",
                "Boolean",
                True,
            )

            (read,) = await room.read(1, [1])
            assert isinstance(read.value, float)
            assert read.value > turn

            written = await room.write(1, 6, 61.25)
            assert (written.value, written.quality) == (61.25, 0)
            (command,) = [one for one in said(log) if one["alias"] == 6]
            assert (command["type"], command["value"]) == ("Double", 61.25)
            with pytest.raises(RequestError, match="outside its limits"):
                await room.write(1, 6, 500)
            with pytest.raises(RequestError, match="not writable"):
                await room.write(1, 1, 5)

            found = {one.path: one for one in await room.browse(1, "")}
            assert found[f"plant/{node}/press/T"].unit == "°C"
            assert found[f"plant/{node}/press/Motor/Speed"].address == {
                "metric": "Motor",
                "member": ["Speed"],
            }
            assert found[f"plant/{node}/press/Zones/actual/1"].value == 2.5
            assert [one.path for one in await room.browse(1, "setp")] == [f"plant/{node}/press/Setpoint"]
        down = len(sink.said("session_down"))
        assert down == 0


async def test_death_is_told_by_the_broker_and_a_restart_brings_the_device_back(
    broker: Broker, tmp_path: Path
) -> None:
    async with working(tmp_path, a_device(broker, "line-2")) as (_, sink):
        with script("sparkplug", "edge.cjs", tmp_path / "1.log", str(broker.port), "line-2", "1"):
            await until(lambda: bool(sink.values()))
        await until(lambda: "sparkplug.edge-node-died" in sink.reasons("session_down"))
        before = len(sink.values())
        with script("sparkplug", "edge.cjs", tmp_path / "2.log", str(broker.port), "line-2", "2"):
            await until(lambda: len(sink.values()) > before)
        assert len(sink.said("session_up")) >= 2


async def test_the_host_says_that_it_is_online_and_the_broker_says_when_it_is_gone(
    broker: Broker, tmp_path: Path
) -> None:
    states: list[tuple[dict[str, Any], bool]] = []

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        states.append((json.loads(message.payload), message.retain))

    with publisher(broker, "onlooker") as client:
        client.on_message = heard
        client.subscribe("spBv1.0/STATE/hall-2", 1)
        async with working(tmp_path, a_device(broker, "nobody", host_id="hall-2")):
            await until(lambda: bool(states))
            assert states[-1][0]["online"] is True
            client.publish("spBv1.0/STATE/hall-2", json.dumps({"online": False, "timestamp": 1}), 1, True)
            await until(lambda: [one["online"] for one, _ in states][-2:] == [False, True])
        await until(lambda: states[-1][0]["online"] is False)
        assert states[-1][0]["timestamp"] == states[0][0]["timestamp"]


def send(client: paho.Client, kind: str, node: str, payload: Payload | bytes, device: str = "") -> None:
    raw = payload if isinstance(payload, bytes) else encode(payload)
    topic = f"spBv1.0/plant/{kind}/{node}" + (f"/{device}" if device else "")
    client.publish(topic, raw, 1).wait_for_publish(10)


async def test_retained_garbage_and_unknown_messages_connect_nothing_and_disturb_nobody(
    broker: Broker, tmp_path: Path
) -> None:
    now_ms = round(time.time() * 1000)
    birth = Payload(now_ms, [Metric("bdSeq", None, T.INT64, 1), Metric("T", 1, T.DOUBLE, 1.0)], 0)
    with publisher(broker, "odd") as client:
        client.publish("spBv1.0/plant/NDATA/odd", encode(birth), 1, retain=True).wait_for_publish(10)
        async with working(tmp_path, a_device(broker, "odd", None)) as (room, sink):
            await until(lambda: "sparkplug.retained" in sink.reasons("error"))
            send(client, "NBIRTH", "odd", birth)
            await until(lambda: bool(sink.scans))
            send(client, "NDATA", "odd", b"\xff\x00\xff")
            send(client, "NDATA", "odd", b"")
            send(client, "NDATA", "odd", Payload(now_ms, [Metric("", 1, T.DOUBLE, 2.0)], 1))
            await until(lambda: sink.values() == [2.0])
            assert "sparkplug.payload-unusable" in sink.reasons("error")
            assert sink.values(how=How.HISTORY) == [1.0]
            with pytest.raises(Unavailable, match="no birth named Setpoint"):
                await room.write(1, 6, 5)
        client.publish("spBv1.0/plant/NDATA/odd", b"", 1, retain=True).wait_for_publish(10)


async def test_discovery_hears_births_and_proposes_what_can_be_tags(broker: Broker, tmp_path: Path) -> None:
    with script("sparkplug", "edge.cjs", tmp_path / "edge.log", str(broker.port), "line-4", "1"):
        async with working(tmp_path) as (room, _):
            where = {"broker": broker.at, "group": "plant", "edge_node": "line-4"}
            found = {one.path: one for one in await room.discover(where, "", 1.0)}
            tag = found["plant/line-4/press/T"]
            assert (tag.type, tag.unit, tag.address) == ("float64", "°C", {"metric": "T"})
            assert tag.interval_s is not None
            assert tag.interval_s > 0
            assert found["plant/line-4/Node Control/Rebirth"].note == "sparkplug.found-command"
            unasked = await room.discover({"broker": broker.at}, "line-4", 0.6)
            assert {one.note for one in unasked} == {"sparkplug.found-unnamed"}


async def test_a_node_whose_name_the_broker_cannot_bear_disturbs_no_other(tmp_path: Path) -> None:
    with nats(tmp_path) as one:
        odd = a_device(one, "line 6", number=2)
        async with working(tmp_path, a_device(one, "line-6"), odd) as (_, sink):
            with script("sparkplug", "edge.cjs", tmp_path / "edge.log", str(one.port), "line-6", "1"):
                await until(lambda: len(sink.values()) > 2)
            assert sink.reasons("error")[0] == "mqtt.subscription-refused"
            assert "mqtt.broker-away" not in sink.reasons("session_down")


async def test_a_broker_restart_lists_what_was_missed_and_brings_every_node_back(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as one:
        async with working(tmp_path, a_device(one, "line-5")) as (_, sink):
            with script("sparkplug", "edge.cjs", tmp_path / "edge.log", str(one.port), "line-5", "1"):
                await until(lambda: bool(sink.values()))
                one.stop()
                await until(lambda: "mqtt.broker-away" in sink.reasons("session_down"))
                before = len(sink.values())
                one.start()
                await until(lambda: len(sink.values()) > before)
    assert "mqtt.broker-away" in sink.reasons("gap")
