"""Equipment that lies, stalls or breaks off: no value comes from it, and nobody else is delayed."""

import asyncio
import contextlib
import itertools
import struct

import pytest

from muster.clock import SystemClock
from tests.integration.modbus.equipment import Reply, equipment, frame, honest
from tests.integration.modbus.room import device, tag, until, working

LIES: dict[str, Reply] = {
    "modbus.wrong-function": lambda t, u, p: frame(t, u, bytes([4, 2, 0, 9])),
    "modbus.wrong-unit": lambda t, u, p: frame(t, (u + 1) % 256, bytes([3, 2, 0, 9])),
    "modbus.wrong-length": lambda t, u, p: frame(t, u, bytes([3, 4, 0, 9, 0, 9])),
    "modbus.garbage": lambda t, u, p: b"\xff" * 40,
    "modbus.wrong-transaction": lambda t, u, p: frame((t + 1) & 0xFFFF, u, bytes([3, 2, 0, 9])),
    "modbus.connection-closed": lambda t, u, p: b"",
    "modbus.device-failure": lambda t, u, p: frame(t, u, bytes([p[0] | 0x80, 4])),
}


@pytest.mark.parametrize("reason", LIES)
async def test_a_lie_brings_no_good_value_and_is_named(reason: str) -> None:
    async with equipment(LIES[reason]) as port:
        one = device(
            1,
            [tag(1, "a", "uint16", register=0)],
            port=port,
            timeout_ms=100,
            backoff_max_s=0.2,
            device_identification=False,
        )
        async with working(one) as (room, seen):
            await until(
                lambda: any(
                    e.reason in (reason, "modbus.connection-lost")
                    for e in seen.said("error") + seen.said("session_down")
                )
            )
            assert all(scan.quality is not None and scan.quality.all() for scan in seen.of(1))
            counted = room.diagnostics(1).errors
        assert counted.get(reason) or counted.get("modbus.connection-lost")


async def test_a_late_reply_is_never_taken_for_the_answer_to_the_next_request() -> None:
    numbers = itertools.count(1)

    def late(transaction: int, unit: int, pdu: bytes) -> bytes:
        return frame(transaction, unit, bytes([3, 2]) + struct.pack(">H", next(numbers)))

    async with equipment(late, delay_s=0.15) as port:
        one = device(
            1, [tag(1, "a", "uint16", register=0)], port=port, timeout_ms=100, device_identification=False
        )
        async with working(one) as (_, seen):
            await until(lambda: len(seen.said("gap", 1)) >= 1, within_s=20)
            assert not seen.of(1)


async def test_a_reply_in_single_bytes_is_put_together() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                for byte in honest(transaction, unit, await reader.readexactly(length - 1)):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.001)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = device(1, [tag(1, "a", "uint16", register=0)], port=port)
        async with working(one) as (_, seen):
            await until(lambda: len(seen.of(1)) >= 3)
    assert {scan.value[0] for scan in seen.of(1)} == {7.0}


async def test_a_silent_unit_does_not_starve_its_neighbours_on_the_line() -> None:
    def one_is_silent(transaction: int, unit: int, pdu: bytes) -> bytes | None:
        return None if unit == 3 else honest(transaction, unit, pdu)

    async with equipment(one_is_silent) as port:
        units = [
            device(
                unit,
                [tag(1, "a", "uint16", register=0)],
                interval_s=0.2,
                port=port,
                unit=unit,
                timeout_ms=50,
                device_identification=False,
            )
            for unit in range(1, 6)
        ]
        async with working(*units) as (_, seen):
            await until(lambda: all(len(seen.of(unit)) >= 10 for unit in (1, 2, 4, 5)))
            assert not seen.of(3)
            assert [event.reason for event in seen.said("error", 3)] == ["modbus.timeout"]
            for unit in (1, 2, 4, 5):
                missed = sum(gap.polls or 0 for gap in seen.said("gap", unit))
                assert missed <= 1


async def test_a_half_open_peer_is_found_out_and_the_connection_made_anew() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = device(
            1,
            [tag(1, "a", "uint16", register=0)],
            port=port,
            timeout_ms=50,
            backoff_max_s=0.2,
            device_identification=False,
        )
        async with working(one) as (_, seen):
            await until(lambda: len(connections) >= 3, within_s=30)
            assert {event.reason for event in seen.said("session_down")} == {"modbus.timeout"}
            assert not seen.of(1)


@pytest.mark.parametrize("cut", [1, 6, 7, 8, 9, 10])
async def test_a_connection_reset_within_a_reply_gives_no_value(cut: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            request = await reader.readexactly(12)
            writer.write(honest(int.from_bytes(request[:2], "big"), request[6], request[7:])[:cut])
            await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = device(
            1,
            [tag(1, "a", "uint16", register=0)],
            port=port,
            backoff_max_s=0.2,
            device_identification=False,
        )
        async with working(one) as (_, seen):
            await until(lambda: len(seen.said("session_down")) > 1)
            assert not seen.of(1)
            assert seen.said("gap", 1)


async def test_equipment_that_ends_the_connection_after_every_answer_is_read_without_a_gap() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            request = await reader.readexactly(12)
            writer.write(honest(int.from_bytes(request[:2], "big"), request[6], request[7:]))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = device(
            1,
            [tag(1, "a", "uint16", register=0)],
            interval_s=0.2,
            port=port,
            device_identification=False,
        )
        async with working(one) as (_, seen):
            await until(lambda: len(seen.of(1)) >= 10)
            assert not seen.said("error")
            assert not [gap for gap in seen.said("gap") if gap.reason != "gateway-late"]


async def test_a_full_outbox_stops_polling_and_the_room_lists_no_gap_of_its_own() -> None:
    async with equipment(honest) as port:
        one = device(1, [tag(1, "a", "uint16", register=0)], port=port, device_identification=False)
        async with working(one) as (room, seen):
            await until(lambda: len(seen.of(1)) > 1)
            seen.full = True
            await asyncio.sleep(0.1)
            polls = room.diagnostics(1).polls
            begin = SystemClock().now_us()
            await asyncio.sleep(0.5)
            end = SystemClock().now_us()
            assert room.diagnostics(1).polls == polls
            seen.full = False
            await until(lambda: room.diagnostics(1).polls > polls)
    middle = (begin + end) // 2  # a busy machine may be late at either end
    assert not [gap for gap in seen.said("gap") if gap.at <= middle <= (gap.until or end)]


async def test_devices_whose_document_is_unchanged_keep_their_session(free_port: int) -> None:
    async with equipment(honest) as port:
        first = device(1, [tag(1, "a", "uint16", register=0)], port=port)
        second = device(2, [tag(1, "a", "uint16", register=0)], port=port, unit=2)
        async with working(first, second) as (room, seen):
            await until(lambda: bool(seen.of(1)) and bool(seen.of(2)))
            changed = device(2, [tag(1, "a", "uint16", register=1)], port=port, unit=2)
            wrong = device(3, [tag(1, "a", "uint16", register=0)], port=port, colour="blue")
            await room.configure({1: first, 2: changed, 3: wrong})
            count = len(seen.of(2))
            await until(lambda: len(seen.of(2)) > count + 1)
            assert len(seen.said("session_up", 1)) == 1
            assert not seen.said("session_down")
            (refused,) = seen.said("error", 3)
            assert "connection.colour" in refused.detail["problem"]
