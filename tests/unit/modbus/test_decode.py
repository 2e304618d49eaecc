"""The decoder against `struct`, for every type, order and place."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.decode import Decoder
from gateway.adapters.modbus.encode import encode
from muster.device import Tag
from muster.quality import Quality
from muster.scans import NULL_BITS
from tests.unit.modbus.documents import blocks_of, decoded, ordered, tag, understood

FORMATS = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
ORDERS = st.sampled_from(["big", "little"])


def is_null(value: float) -> bool:
    return bool(np.array(value, np.float64).view(np.uint64) == NULL_BITS)


@st.composite
def values(draw: st.DrawFn) -> tuple[str, Any, bytes, dict[str, str]]:
    """A type, a value, the bytes equipment sends for it, and the orders that say so."""
    kind = draw(st.sampled_from(sorted(FORMATS)))
    size = struct.calcsize(FORMATS[kind])
    if kind == "float32":
        value = draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    elif kind == "float64":
        value = draw(st.floats(allow_nan=False, allow_infinity=False))
    else:
        bits = 8 * size
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind[0] == "i" else (0, 2**bits - 1)
        value = draw(st.integers(low, high))
    orders = {"byte_order": draw(ORDERS), "word_order": draw(ORDERS) if size > 2 else "big"}
    return kind, value, ordered(struct.pack(FORMATS[kind], value), **orders), orders


@given(
    st.lists(values(), min_size=1, max_size=12),
    st.lists(st.integers(0, 20), min_size=12, max_size=12),
    st.data(),
)
def test_every_type_in_every_order_anywhere_is_decoded_exactly(
    wanted: list[tuple[str, Any, bytes, dict[str, str]]], gaps: list[int], data: st.DataObject
) -> None:
    positions = data.draw(st.permutations(range(1, 13)))[: len(wanted)]
    registers: dict[int, bytes] = {}
    tags: list[Tag] = []
    register = 0
    for (kind, _, raw, orders), gap, position in zip(wanted, gaps, positions, strict=False):
        register += gap
        registers[register] = raw
        tags.append(tag(position, kind, register=register, **orders))
        register += len(raw) // 2
    found = decoded(registers, *tags)
    first = min(positions)
    texts = {text.position: text.value for text in found.texts}
    for (_, value, _, _), position in zip(wanted, positions, strict=True):
        if isinstance(value, int) and abs(value) > 2**53:
            assert texts.pop(position) == str(value)
            assert is_null(found.value[position - first])
        else:
            assert struct.pack(">d", found.value[position - first]) == struct.pack(">d", value)
    assert not texts
    assert found.quality is None
    for position in set(range(first, max(positions) + 1)) - set(positions):
        assert is_null(found.value[position - first])


@given(values())
def test_what_is_encoded_decodes_to_the_same(wanted: tuple[str, Any, bytes, dict[str, str]]) -> None:
    kind, value, raw, orders = wanted
    (place,) = understood(tag(1, kind, register=0, writable=True, **orders)).places
    assert encode(place, str(value) if isinstance(value, int) else value) == raw


@given(
    st.integers(-(2**15), 2**15 - 1),
    st.floats(-1e6, 1e6).filter(lambda scale: abs(scale) > 1e-6),
    st.floats(-1e9, 1e9),
)
def test_the_engineering_value_is_raw_times_scale_plus_offset_in_float64(
    raw: int, scale: float, offset: float
) -> None:
    found = decoded({0: struct.pack(">h", raw)}, tag(1, "int16", register=0, scale=scale, offset=offset))
    assert found.value[0] == float(raw) * scale + offset


def test_a_scaled_neighbour_changes_no_bit_of_an_unscaled_value() -> None:
    found = decoded(
        {0: struct.pack(">dH", -0.0, 3)},
        tag(1, "float64", register=0),
        tag(2, "uint16", register=4, scale=0.5, offset=1),
    )
    assert math.copysign(1, found.value[0]) == -1
    assert found.value[1] == 2.5


@given(st.integers(0, 0xFFFF), st.integers(0, 15), ORDERS)
def test_a_bit_of_a_register_counts_from_the_least_significant(register: int, bit: int, order: str) -> None:
    raw = ordered(struct.pack(">H", register), "big", order)
    found = decoded({3: raw}, tag(1, "bit", register=3, bit=bit, byte_order=order))
    assert found.value[0] == (register >> bit) & 1


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 30))
def test_coils_are_decoded_from_the_first_on(coils: list[bool], start: int) -> None:
    tags = [tag(at + 1, "bool", table="coil", register=start + at) for at in range(len(coils))]
    (block,) = blocks_of(*tags)
    decoder = Decoder([block])
    packed = sum(on << at for at, on in enumerate(coils)).to_bytes(block.size, "little")
    assert decoder.decode(packed).value.tolist() == coils


def test_sixteen_bits_of_one_register_and_the_register_itself_are_sixteen_tags_and_one() -> None:
    bits = [tag(1 + bit, "bit", register=7, bit=bit) for bit in range(16)]
    found = decoded({7: b"\x80\x01"}, *bits, tag(17, "uint16", register=7), tag(18, "bool", register=7))
    assert found.value.tolist() == [1] + 14 * [0] + [1, 0x8001, 1]


def test_two_tags_may_read_the_same_registers_as_different_types() -> None:
    found = decoded(
        {0: bytes.fromhex("40490fdb")},
        tag(1, "float32", register=0),
        tag(2, "uint32", register=0),
        tag(3, "uint16", register=1),
    )
    assert found.value.tolist() == [struct.unpack(">f", bytes.fromhex("40490fdb"))[0], 0x40490FDB, 0x0FDB]


@pytest.mark.parametrize(
    ("kind", "absent", "raw"),
    [
        ("int16", 0x8000, "8000"),
        ("uint16", 0xFFFF, "ffff"),
        ("int32", 0x80000000, "80000000"),
        ("uint64", 2**64 - 1, "ff" * 8),
        ("float32", 0x7F800001, "7f800001"),
        ("float64", 0x7FF4000000000000, "7ff4000000000000"),
    ],
)
def test_the_devices_word_for_no_value_becomes_no_value(kind: str, absent: int, raw: str) -> None:
    found = decoded(
        {0: bytes.fromhex(raw) + b"\0\x05"},
        tag(1, kind, register=0, absent=absent),
        tag(2, "uint16", register=len(raw) // 4),
    )
    assert is_null(found.value[0])
    assert found.value[1] == 5
    assert found.quality is not None
    assert found.quality.tolist() == [Quality.NO_VALUE, 0]
    assert not found.texts


def test_a_value_beside_the_word_for_no_value_is_good() -> None:
    found = decoded({0: b"\x7f\xff"}, tag(1, "int16", register=0, absent=0x8000))
    assert found.value[0] == 0x7FFF
    assert found.quality is None


def test_zero_is_not_the_float_whose_bits_mean_no_value() -> None:
    found = decoded({0: bytes(4)}, tag(1, "float32", register=0, absent=0x80000000))
    assert found.quality is None


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("7fc00000", Quality.NO_VALUE),
        ("7fa00001", Quality.NO_VALUE),
        ("ffc12345", Quality.NO_VALUE),
        ("7f800000", Quality.OUT_OF_RANGE),
        ("ff800000", Quality.OUT_OF_RANGE),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_float_that_is_no_number_is_no_value(raw: str, word: Quality, scale: float) -> None:
    found = decoded(
        {0: bytes.fromhex(raw) + b"\0\x05"},
        tag(1, "float32", register=0, scale=scale),
        tag(2, "uint16", register=2, scale=scale),
    )
    assert is_null(found.value[0])
    assert found.value[1] == 5 * scale
    assert found.quality is not None
    assert found.quality.tolist() == [word, 0]


def test_no_data_look_like_a_missing_value() -> None:
    found = decoded({0: struct.pack(">Q", NULL_BITS)}, tag(1, "float64", register=0))
    assert found.quality is not None
    assert found.quality.tolist() == [Quality.NO_VALUE]


def test_a_value_that_scaling_carries_out_of_range_is_said_to_be() -> None:
    found = decoded({0: struct.pack(">d", 1e300)}, tag(1, "float64", register=0, scale=1e10))
    assert found.quality is not None
    assert found.quality.tolist() == [Quality.OUT_OF_RANGE]


def test_a_scaled_large_integer_is_a_number() -> None:
    found = decoded({0: struct.pack(">Q", 2**60)}, tag(1, "uint64", register=0, scale=0.001))
    assert found.value[0] == 2**60 * 0.001
    assert not found.texts


@pytest.mark.parametrize(("raw", "number"), [("1234", 1234), ("0000", 0), ("9999", 9999)])
def test_bcd_is_read_digit_by_digit(raw: str, number: int) -> None:
    assert decoded({0: bytes.fromhex(raw)}, tag(1, "bcd16", register=0)).value[0] == number


def test_bcd_with_a_letter_cannot_be_decoded() -> None:
    found = decoded({0: bytes.fromhex("12a4")}, tag(1, "bcd16", register=0))
    assert found.quality is not None
    assert found.quality.tolist() == [Quality.UNDECODABLE]


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize(
    ("encoding", "text"), [("ascii", "PUMP-1"), ("utf-8", "泵 1"), ("gb18030", "一号泵")]
)
def test_text_is_read_to_its_first_zero(order: str, encoding: str, text: str) -> None:
    raw = ordered(text.encode(encoding).ljust(16, b"\0"), "big", order)
    found = decoded(
        {2: raw, 10: b"\0\x07"},
        tag(1, "string", register=2, length=8, encoding=encoding, byte_order=order),
        tag(2, "uint16", register=10),
    )
    assert found.texts == [(1, text, 0)]
    assert is_null(found.value[0])
    assert found.value[1] == 7
    assert found.quality is None


def test_text_that_is_none_is_said_to_be_undecodable_or_absent() -> None:
    found = decoded(
        {0: b"\xff\xfe"},
        tag(1, "string", register=0, length=1),
        tag(2, "string", register=1, length=2, absent=0),
    )
    assert found.texts == [(1, "fffe", Quality.UNDECODABLE), (2, "", Quality.NO_VALUE)]
    assert all(map(is_null, found.value))


def test_what_did_not_come_is_marked_and_its_neighbours_are_kept() -> None:
    blocks = blocks_of(
        tag(1, "uint16", register=0),
        tag(2, "uint64", register=100),
        tag(3, "string", register=104, length=2),
        tag(5, "bool", table="coil", register=3),
    )
    decoder = Decoder(blocks)
    image = bytearray(decoder.size)
    for begin, end in decoder.spans:
        image[begin:end] = b"\xff" * (end - begin)
    failing = next(at for at, block in enumerate(blocks) if block.start == 100)
    found = decoder.decode(image, {failing: Quality.REFUSED})
    assert found.value[[0, 4]].tolist() == [65535, 1]
    assert all(map(is_null, found.value[[1, 2, 3]]))
    assert found.quality is not None
    assert found.quality.tolist() == [0, Quality.REFUSED, Quality.REFUSED, 0, 0]
    assert not found.texts
    again = decoder.decode(image)
    assert again.quality is None
    assert [text.position for text in again.texts] == [2, 3]


def test_each_scan_is_its_own_array() -> None:
    decoder = Decoder(blocks_of(tag(1, "uint16", register=0)))
    before = decoder.decode(b"\0\x01").value
    assert decoder.decode(b"\0\x02").value[0] == 2
    assert before[0] == 1
