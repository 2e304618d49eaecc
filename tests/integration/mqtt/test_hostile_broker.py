"""Brokers that break the rules: a room ends the connection with a clear reason, loses nothing and goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.mqtt.packets import MOST_PACKET_BYTES
from tests.integration.mqtt.brokers import Outbox, device, tag, until, working
from tests.unit.mqtt.test_packets import PINGRESP, publish

TOPIC = b"plant/press-1/data"


@dataclass
class Pretender:
    """Speaks as much MQTT as it takes to be believed; each connection is then given `lines` in turn."""

    port: int = 0
    five: bool = False
    kept: bool = False
    silent: bool = False
    lines: list[list[bytes]] = field(default_factory=list)
    connections: int = 0
    acknowledged: list[list[int]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        acknowledged: list[int] = []
        self.acknowledged.append(acknowledged)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first, body = await _packet(reader)
                if first == 0x10:
                    kept = bytes([self.kept or number > 0])
                    writer.write(b"\x20\x03" + kept + b"\0\0" if self.five else b"\x20\x02" + kept + b"\0")
                elif first == 0x82:
                    behind = body[2:] if not self.five else body[3:]
                    writer.write(_suback(body[:2], behind, self.five))
                    for piece in self.lines[number] if number < len(self.lines) else []:
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
                elif first == 0xA2:
                    writer.write(b"\xb0\x04" + body[:2] + b"\0\0" if self.five else b"\xb0\x02" + body[:2])
                elif first == 0x40:
                    acknowledged.append(int.from_bytes(body[:2], "big"))
                elif first == 0xC0 and not self.silent:
                    writer.write(PINGRESP)
        writer.close()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, await reader.readexactly(length)


def _suback(packet: bytes, asked: bytes, five: bool) -> bytes:
    count = 0
    while asked:
        asked = asked[2 + int.from_bytes(asked[:2], "big") + 1 :]
        count += 1
    body = packet + (b"\0" if five else b"") + b"\1" * count
    return bytes([0x90, len(body)]) + body


@asynccontextmanager
async def pretending(**what: Any) -> AsyncIterator[Pretender]:
    """Run a pretender on a free port."""
    broker = Pretender(**what)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()


@asynccontextmanager
async def hearing(
    folder: Path, broker: Pretender, sink: Outbox | None = None, **more: Any
) -> AsyncIterator[Outbox]:
    """Run a room with one device at this broker; `more` of how it is reached."""
    version = "5" if broker.five else "3.1.1"
    where = {"host": "127.0.0.1", "port": broker.port, "version": version, "backoff_max_s": 0.1, **more}
    one = device(1, where, [tag(1, "t", path="$.t")])
    async with working(folder, one, outbox=sink) as (_, heard):
        yield heard


def values(sink: Outbox) -> list[float]:
    """Return what was stored, live or not."""
    return [float(one.value[0]) for one in sink.scans]


def message(value: float, packet: int, flags: int = 0, five: bool = False) -> bytes:
    """Return a PUBLISH of a value."""
    return publish(TOPIC, b'{"t": %g}' % value, packet, flags, b"" if five else None)


@pytest.mark.parametrize("five", [False, True])
async def test_messages_split_at_every_byte_are_stored_and_acknowledged_in_order(
    tmp_path: Path, five: bool
) -> None:
    stream = b"".join(message(number, number, five=five) for number in range(1, 41))
    pieces = [stream[index : index + 1] for index in range(400)] + [stream[400:]]
    async with pretending(five=five, lines=[pieces]) as broker, hearing(tmp_path, broker) as sink:
        await until(lambda: len(broker.acknowledged[0]) == 40)
    assert values(sink) == [float(number) for number in range(1, 41)]
    assert broker.acknowledged[0] == list(range(1, 41))


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x00\x00",
        b"\xf3\x00",
        b"\x30\x80\x80\x80\x80\x01",
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x30\x03\x00\x05a",
        b"\x20\x00",  # a CONNACK without anything in it
        b"\x90\x01\x00",  # a SUBACK that breaks off
        b"\x40\x01\x00",  # a PUBACK that does
        b"\xd0\x05\x00\x00\x00\x00\x00",  # a PINGRESP with something in it
    ],
)
async def test_what_is_no_mqtt_ends_the_connection_by_name_and_what_came_before_is_kept(
    tmp_path: Path, wrong: bytes
) -> None:
    lines = [[message(1, 1) + wrong + message(9, 9)], [message(2, 2)]]
    async with pretending(lines=lines) as broker, hearing(tmp_path, broker) as sink:
        await until(lambda: broker.connections > 1 and broker.acknowledged[1] == [2])
    assert values(sink) == [1.0, 2.0]
    assert "mqtt.malformed-packet" in sink.reasons("session_down")


async def test_a_message_before_the_session_is_granted_is_not_heard(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(message(1, 1))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        where = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
        async with working(tmp_path, device(1, where, [tag(1, "t", path="$.t")])) as (_, sink):
            await until(lambda: "mqtt.malformed-packet" in sink.reasons("session_down"))
    assert sink.scans == []


async def test_a_huge_message_is_an_error_of_its_own_and_the_next_is_heard(tmp_path: Path) -> None:
    huge = publish(TOPIC, b'{"t": 1, "x": "' + bytes(MOST_PACKET_BYTES) + b'"}', 1)
    async with pretending(lines=[[huge, message(2, 2)]]) as broker, hearing(tmp_path, broker) as sink:
        await until(lambda: broker.acknowledged[0] == [1, 2], 60)
    assert values(sink) == [2.0]
    assert sink.reasons("error") == ["mqtt.payload-unusable"]


async def test_messages_under_one_identifier_are_all_kept_when_none_is_a_redelivery(tmp_path: Path) -> None:
    lines = [[message(1, 7) + message(2, 7) + message(2, 7, flags=8)]]
    sink = Outbox(at_once=False)
    async with pretending(lines=lines) as broker, hearing(tmp_path, broker, sink):
        await until(lambda: len(sink.scans) == 2)
        sink.seal()
        await until(lambda: broker.acknowledged[0] == [7, 7])
    assert values(sink) == [1.0, 2.0]


@pytest.mark.parametrize("five", [False, True])
async def test_what_was_not_acknowledged_comes_again_and_is_stored_once(tmp_path: Path, five: bool) -> None:
    first = [message(number, number, five=five) for number in range(1, 31)]
    again = [message(number, number, 8, five=five) for number in range(1, 31)]
    lines = [[*first[:20], b"\x00\x00"], [*again[:20], *first[20:]]]
    sink = Outbox(at_once=False)
    async with pretending(five=five, lines=lines) as broker, hearing(tmp_path, broker, sink):
        await until(lambda: len(sink.scans) == 30)
        assert broker.acknowledged == [[], []]
        sink.seal()
        await until(lambda: len(broker.acknowledged[1]) == 30)
    assert values(sink) == [float(number) for number in range(1, 31)]
    assert broker.acknowledged[1] == list(range(1, 31))


async def test_a_broker_that_is_only_half_there_is_noticed(tmp_path: Path) -> None:
    def causes() -> list[Any]:
        return [event.detail.get("cause") for event in sink.said("session_down") if event.detail]

    async with pretending(silent=True) as broker, hearing(tmp_path, broker, keepalive_s=5) as sink:
        await until(lambda: "mqtt.keepalive-timeout" in causes(), 60)
