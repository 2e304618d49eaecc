"""The room with a press whose client is mqtt.js: MQTT 5 on mosquitto, MQTT 3.1.1 on NATS."""

import asyncio
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from muster.device import Device
from tests.integration.mqtt.brokers import Broker, Outbox, device, mosquitto, nats, tag, until, working
from tests.peers.npm import script

VERSIONS = {"mosquitto": "5", "nats": "3.1.1"}
LIMIT_S = 60.0


@pytest.fixture(params=sorted(VERSIONS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with {"mosquitto": mosquitto, "nats": nats}[request.param](tmp_path) as one:
        yield one


def version(broker: Broker) -> str:
    return VERSIONS[broker.log.stem]


def press(broker: Broker) -> Device:
    command = {
        "topic": "plant/press-1/set",
        "payload": '{"id": {id}, "speed": {value}}',
        "response_topic": "plant/press-1/done",
        "response_path": "$.id",
        "timeout_ms": 20_000,
    }
    tags = [
        tag(1, "n", "uint32", path="$.values.n"),
        tag(2, "a", path="$.values.a"),
        tag(3, "b", path="$.values.b"),
        tag(4, "speed", path="$.values.speed", writable=True, command=command),
    ]
    stamped = {"timestamp": {"path": "$.ts", "unit": "ms"}}
    return device(1, {**broker.at, "version": version(broker)}, tags, payload=stamped)


@contextmanager
def running_press(broker: Broker, log: Path, messages: int, pause_ms: int) -> Iterator[None]:
    level = "5" if version(broker) == "5" else "4"
    with script("mqttjs", "press.cjs", log, str(broker.port), level, str(messages), str(pause_ms)):
        yield


def lines(log: Path) -> list[dict[str, Any]]:
    """Return what the press said of itself, whole lines only."""
    whole = log.read_text("utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def sent(log: Path) -> dict[int, tuple[str, str]]:
    """Return the bits that the press published as `a` and `b`, by message."""
    return {line["said"]: (line["a"], line["b"]) for line in lines(log) if "said" in line}


def acknowledged(log: Path) -> set[int]:
    """Return the messages whose acknowledgement the press has."""
    return {line["acknowledged"] for line in lines(log) if "acknowledged" in line}


def stored(sink: Outbox) -> list[tuple[int, tuple[str, str]]]:
    """Return message and bits of every scan, each as often as it was stored."""
    return [(int(scan.value[0]), (bits(scan.value[1]), bits(scan.value[2]))) for scan in sink.scans]


def bits(value: float) -> str:
    """Return the 64 bits of a double, most significant first, in hexadecimal."""
    return struct.pack(">d", value).hex()


async def test_every_double_of_mqttjs_is_stored_bit_for_bit(broker: Broker, tmp_path: Path) -> None:
    log = tmp_path / "press.log"
    async with working(tmp_path, press(broker)) as (_, sink):
        with running_press(broker, log, 300, 2):
            await until(lambda: len(sink.scans) >= 300, LIMIT_S)
            said = sent(log)
    assert sorted(stored(sink)) == sorted(said.items())
    assert all(scan.quality is None or not scan.quality.any() for scan in sink.scans)


async def test_a_command_is_obeyed_and_answered_by_mqttjs(broker: Broker, tmp_path: Path) -> None:
    log = tmp_path / "press.log"
    async with working(tmp_path, press(broker)) as (room, sink):
        with running_press(broker, log, 100_000, 20):
            await until(lambda: bool(sink.scans), LIMIT_S)
            assert (await room.write(1, 4, 0.1 + 0.2)).value == 0.1 + 0.2
            await until(lambda: sink.scans[-1].value[3] == 0.1 + 0.2, LIMIT_S)
            obeyed = [line["commanded"] for line in lines(log) if "commanded" in line]
    assert obeyed == ["3fd3333333333334"]


async def test_a_cut_loses_and_doubles_nothing_that_mqttjs_had_acknowledged(
    broker: Broker, tmp_path: Path
) -> None:
    log = tmp_path / "press.log"
    async with working(tmp_path, press(broker)) as (_, sink):
        with running_press(broker, log, 600, 5):
            await until(lambda: len(sink.scans) > 50, LIMIT_S)
            await asyncio.to_thread(broker.stop)
            before = len(acknowledged(log))
            await asyncio.to_thread(broker.start)
            await until(lambda: len(acknowledged(log)) == 600, LIMIT_S)
            await until(lambda: len({number for number, _ in stored(sink)}) == 600, LIMIT_S)
            said = sent(log)
    assert 50 < before < 600
    assert sorted(stored(sink)) == sorted(said.items())
