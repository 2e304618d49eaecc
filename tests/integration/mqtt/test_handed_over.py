"""Two processes that share a site hear one device in turn: what a broker kept for either of them is never stored twice.

The payloads bear no timestamp, so that nothing tells an old message from a new one.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from muster.device import Device
from tests.integration.mqtt.brokers import (
    Broker,
    Outbox,
    device,
    mosquitto,
    nats,
    publisher,
    tag,
    until,
    working,
)


@contextmanager
def broker(kind: str, folder: Path) -> Iterator[Broker]:
    with nats(folder) if kind == "nats" else mosquitto(folder) as one:
        yield one


def held(broker: Broker, version: str, client: str, term: int) -> Device:
    """The device as its holder is told of it."""
    at = {**broker.at, "version": version, "client_id": client}
    return msgspec.structs.replace(device(1, at, [tag(1, "n", path="$.n")]), term=term)


def publish(broker: Broker, first: int) -> None:
    """Publish ten messages, and wait until the broker has them."""
    with publisher(broker) as client:
        for number in range(first, first + 10):
            client.publish("plant/press-1/data", json.dumps({"n": number}), 1).wait_for_publish(10)


@pytest.mark.parametrize(
    ("kind", "version", "clients"),
    [
        ("mosquitto", "3.1.1", ("a", "b")),
        ("mosquitto", "3.1.1", ("site", "site")),
        ("mosquitto", "5", ("site", "site")),
        ("nats", "3.1.1", ("a", "b")),
    ],
)
async def test_a_device_that_goes_to_another_process_and_back_is_stored_once(
    tmp_path: Path, kind: str, version: str, clients: tuple[str, str]
) -> None:
    ours, others = clients
    first, second, back = Outbox(at_once=False), Outbox(), Outbox()
    with broker(kind, tmp_path) as one:
        turns = [(ours, 7, first, "a"), (others, 8, second, "b"), (ours, 9, back, "a")]
        for turn, (client, term, outbox, folder) in enumerate(turns):
            async with working(tmp_path / folder, held(one, version, client, term), outbox=outbox):
                await asyncio.to_thread(publish, one, 20 * turn)
                await until(lambda heard=outbox: len(heard.scans) >= 10)  # type: ignore[misc]
                await asyncio.sleep(0.3)  # nothing else comes
            await asyncio.to_thread(publish, one, 20 * turn + 10)  # nobody holds it
    kept = [int(value) for outbox in (first, second, back) for value in outbox.values()]
    assert kept == [number for turn in range(3) for number in range(20 * turn, 20 * turn + 10)]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_device_that_was_taken_away_leaves_nothing_collecting_at_the_broker(
    tmp_path: Path, version: str
) -> None:
    with mosquitto(tmp_path) as one:
        mine = msgspec.structs.replace(held(one, version, "a", 1), term=None)
        async with working(tmp_path, mine) as (room, sink):
            await room.configure({})
            await asyncio.to_thread(publish, one, 0)
            before = len(sink.events)
            await room.configure({1: mine})
            await until(lambda: len(sink.events) > before)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(publish, one, 10)
            await until(lambda: bool(sink.scans))
    assert sink.scans[0].value[0] == 10.0
