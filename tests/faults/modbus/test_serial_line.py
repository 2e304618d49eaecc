"""A serial line with a slow unit, noise and broken frames: no reply is ever taken for another's."""

import asyncio
import contextlib
import os
import struct
from collections.abc import Callable, Iterator

from gateway.adapters.modbus.rtu import with_crc
from tests.integration.modbus.room import device, tag, until, working
from tests.integration.modbus.test_transports import serial_pair

Answer = Callable[[int, int, int], list[tuple[float, bytes]]]
"""(unit, start, count) → what to send, each after so many seconds."""


def registers(unit: int, values: list[int]) -> bytes:
    return with_crc(struct.pack(">BBB", unit, 3, 2 * len(values)) + struct.pack(f">{len(values)}H", *values))


@contextlib.contextmanager
def bus(answer: Answer) -> Iterator[str]:
    """Put units onto one end of a serial pair; gives the name of the other."""
    loop = asyncio.get_running_loop()
    with serial_pair() as (ours, theirs):
        end = os.open(theirs, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        begun = b""

        def readable() -> None:
            nonlocal begun
            begun += os.read(end, 4096)
            while len(begun) >= 8:
                unit, _, start, count = struct.unpack(">BBHH", begun[:6])
                begun = begun[8:]
                for delay_s, said in answer(unit, start, count):
                    loop.call_later(delay_s, lambda said=said: said and os.write(end, said))

        loop.add_reader(end, readable)
        try:
            yield ours
        finally:
            loop.remove_reader(end)
            os.close(end)


def units(port: str, *numbers: int) -> list:  # type: ignore[type-arg]
    return [
        device(
            number,
            [tag(1, "a", "uint16", register=number)],
            interval_s=0.1,
            transport="rtu",
            serial={"port": port, "parity": "none", "baud_rate": 115200},
            unit=number,
            timeout_ms=150,
            backoff_max_s=0.3,
            device_identification=False,
        )
        for number in numbers
    ]


async def test_a_late_reply_of_one_unit_is_not_taken_for_anothers() -> None:
    def answer(unit: int, start: int, count: int) -> list[tuple[float, bytes]]:
        return [(0.25 if unit == 3 else 0.001, registers(unit, [100 * unit]))]

    with bus(answer) as port:
        async with working(*units(port, 1, 2, 3)) as (room, seen):
            await until(lambda: len(seen.of(1)) > 25 and len(seen.of(2)) > 25)
            assert not seen.of(3)
            for number in (1, 2):
                assert {scan.value[0] for scan in seen.of(number)} == {100.0 * number}
                # a held-up test machine may let a reply come too late, but never from a wrong unit
                assert room.diagnostics(number).errors.keys() <= {"modbus.timeout"}
            assert room.diagnostics(3).errors.keys() == {"modbus.timeout"}


async def test_noise_and_broken_frames_cost_a_poll_and_not_the_line() -> None:
    polls = 0

    def answer(unit: int, start: int, count: int) -> list[tuple[float, bytes]]:
        nonlocal polls
        polls += 1
        good = registers(unit, [7])
        broken = [
            b"\xff\x00\x42",  # noise
            good[:-1] + bytes([good[-1] ^ 1]),  # a wrong checksum
            good[:4],  # breaks off
            registers(9, [9]),  # a unit that nobody asked
            b"\x01\x63" + good,  # no function that was asked for
        ]
        return [(0.001, broken[polls // 2 % len(broken)] if polls % 2 else good)]

    with bus(answer) as port:
        async with working(*units(port, 1)) as (room, seen):
            await until(lambda: len(seen.of(1)) > 8, within_s=40)
            errors = room.diagnostics(1).errors
    assert {scan.value[0] for scan in seen.of(1)} == {7.0}
    assert {
        "modbus.wrong-checksum",
        "modbus.short-reply",
        "modbus.wrong-unit",
        "modbus.garbage",
    } <= errors.keys()
    missed = sum(gap.polls or 0 for gap in seen.said("gap", 1))
    assert missed >= sum(errors.values()) - 1


async def test_a_reply_that_trickles_in_is_put_together() -> None:
    def answer(unit: int, start: int, count: int) -> list[tuple[float, bytes]]:
        return [(0.001 * at, bytes([byte])) for at, byte in enumerate(registers(unit, [7]))]

    with bus(answer) as port:
        async with working(*units(port, 1)) as (_, seen):
            await until(lambda: len(seen.of(1)) > 3)
    assert seen.of(1)[0].value[0] == 7


async def test_a_port_that_goes_away_ends_the_session_and_is_tried_again() -> None:
    with bus(lambda unit, start, count: [(0.0, registers(unit, [7]))]) as port:
        async with working(*units(port, 1)) as (_, seen):
            await until(lambda: len(seen.of(1)) > 1)
            with serial_pair() as (other, _):
                assert other != port
            missing = units("/dev/no-such-port", 2)
            async with working(*missing) as (_, absent):
                await until(lambda: bool(absent.said("session_down")))
    assert absent.said("session_down")[0].reason == "modbus.serial-unusable"


async def test_a_port_is_not_shared_with_another_program() -> None:
    with bus(lambda unit, start, count: [(0.0, registers(unit, [7]))]) as port:
        async with working(*units(port, 1)) as (_, first):
            await until(lambda: len(first.of(1)) > 1)
            async with working(*units(port, 2)) as (_, second):
                await until(lambda: bool(second.said("session_down")))
    assert second.said("session_down")[0].reason == "modbus.serial-unusable"
