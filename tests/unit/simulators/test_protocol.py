"""The server's side of the Modbus application protocol, as a function of bytes."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.modbus.protocol import MOST_BYTES, answer, span
from simulators.modbus.units import Image, ImageUnit, Table

SPAN = 200
WRITABLE = slice(50, 80)


def unit(identity: dict[int, bytes] | None = None) -> ImageUnit:
    image = Image(SPAN + 100)
    image.words[:] = np.arange(SPAN + 100)
    image.bits[:, ::3] = 1
    image.writable_words[WRITABLE] = True
    image.writable_bits[WRITABLE] = True
    return ImageUnit(image, 0, SPAN, identity or {0: b"vendor", 1: b"code", 2: b"V1", 0x80: b"simulated"})


def read(function: int, start: int, count: int) -> bytes:
    return struct.pack(">BHH", function, start, count)


@given(st.binary(min_size=1, max_size=MOST_BYTES))
def test_whatever_is_asked_there_is_an_answer_that_fits_a_frame(request: bytes) -> None:
    said = answer(unit(), request)
    assert 2 <= len(said) <= MOST_BYTES
    assert said[0] in (request[0], request[0] | 0x80)
    if said[0] != request[0]:
        assert said[1] in (1, 2, 3)
    span(request)


@given(st.integers(0, SPAN + 5), st.integers(0, 130), st.sampled_from([3, 4]))
def test_registers_are_answered_inside_the_unit_and_refused_beyond(
    start: int, count: int, function: int
) -> None:
    said = answer(unit(), read(function, start, count))
    if not 1 <= count <= 125:
        assert said == bytes((function | 0x80, 3))
    elif start + count > SPAN:
        assert said == bytes((function | 0x80, 2))
    else:
        assert said[:2] == bytes((function, 2 * count))
        assert struct.unpack(f">{count}H", said[2:]) == tuple(range(start, start + count))


@given(st.integers(0, SPAN - 1), st.integers(1, SPAN), st.sampled_from([1, 2]))
def test_bits_are_packed_with_the_first_lowest(start: int, count: int, function: int) -> None:
    said = answer(unit(), read(function, start, count))
    if start + count > SPAN:
        assert said == bytes((function | 0x80, 2))
        return
    assert said[1] == len(said) - 2 == -(-count // 8)
    for at in range(count):
        assert said[2 + at // 8] >> at % 8 & 1 == ((start + at) % 3 == 0)


@given(st.integers(45, 85), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40))
def test_registers_are_written_whole_where_all_may_be_written_and_not_at_all_elsewhere(
    start: int, values: list[int]
) -> None:
    equipment = unit()
    before = bytes(equipment.registers(Table.HOLDING, 0, SPAN))
    content = struct.pack(f">{len(values)}H", *values)
    said = answer(equipment, struct.pack(">BHHB", 16, start, len(values), len(content)) + content)
    after = bytes(equipment.registers(Table.HOLDING, 0, SPAN))
    if WRITABLE.start <= start and start + len(values) <= WRITABLE.stop:
        assert said == struct.pack(">BHH", 16, start, len(values))
        assert after == before[: 2 * start] + content + before[2 * (start + len(values)) :]
    else:
        assert said == b"\x90\x02"
        assert after == before


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_masked_write_keeps_and_puts_bits_as_the_standard_says(now: int, keep: int, put: int) -> None:
    equipment = unit()
    answer(equipment, struct.pack(">BHH", 6, 60, now))
    request = struct.pack(">BHHH", 22, 60, keep, put)
    assert answer(equipment, request) == request
    (found,) = struct.unpack(">H", equipment.registers(Table.HOLDING, 60, 1))
    assert found == (now & keep) | (put & ~keep & 0xFFFF)


def test_a_read_with_a_write_shows_what_was_written() -> None:
    request = struct.pack(">BHHHHBH", 23, 59, 3, 60, 1, 2, 0xBEEF)
    assert answer(unit(), request) == struct.pack(">BBHHH", 23, 6, 59, 0xBEEF, 61)


def test_a_read_with_a_write_that_cannot_be_read_writes_nothing() -> None:
    equipment = unit()
    assert answer(equipment, struct.pack(">BHHHHBH", 23, SPAN, 1, 60, 1, 2, 1)) == b"\x97\x02"
    assert struct.unpack(">H", equipment.registers(Table.HOLDING, 60, 1)) == (60,)


@pytest.mark.parametrize(
    ("request_hex", "said"),
    [
        ("0f0032000a02ff03", "0f0032000a"),
        ("0f0032000a01ff", "8f03"),
        ("050032ff00", "050032ff00"),
        ("0500321234", "8503"),
        ("050000ff00", "8502"),
        ("0600", "8603"),
        ("11", "9101"),
        ("2b0d0100", "ab01"),
        ("2b0e0500", "ab03"),
        ("2b0e0477", "ab02"),
    ],
)
def test_what_the_standard_lays_down_is_answered_so(request_hex: str, said: str) -> None:
    assert answer(unit(), bytes.fromhex(request_hex)).hex() == said


@given(st.dictionaries(st.integers(1, 255), st.binary(min_size=1, max_size=120), max_size=12))
def test_an_identification_of_any_length_is_given_in_pieces_that_together_are_whole(
    objects: dict[int, bytes],
) -> None:
    objects = {0: b"vendor", **objects}
    equipment = unit(objects)
    found: dict[int, bytes] = {}
    following = 0
    for _ in range(len(objects) + 1):
        said = answer(equipment, bytes((0x2B, 0x0E, 3, following)))
        assert len(said) <= MOST_BYTES
        more, following, count = said[4], said[5], said[6]
        at = 7
        for _ in range(count):
            number, length = said[at], said[at + 1]
            found[number] = said[at + 2 : at + 2 + length]
            at += 2 + length
        assert at == len(said)
        if not more:
            break
    assert found == objects


def test_one_object_of_the_identification_can_be_asked_for() -> None:
    assert answer(unit(), b"\x2b\x0e\x04\x80")[7:] == b"\x80\x09simulated"


def test_a_request_is_about_the_addresses_it_names() -> None:
    assert span(read(3, 7, 9)) == (7, 9)
    assert span(struct.pack(">BHH", 6, 7, 900)) == (7, 1)
    assert span(b"\x2b\x0e\x01\x00\x00") is None
    assert span(b"\x03\x00") is None
