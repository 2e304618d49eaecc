"""Many answers decoded at once against the same answers decoded one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.config import WIDTHS
from gateway.adapters.modbus.decode import Decoder, Decoders
from muster.device import Tag
from tests.unit.modbus.documents import blocks_of, tag

NUMBERS = sorted(kind for kind in WIDTHS if kind not in ("string", "bcd16", "bcd32"))
WORDS = ("0000", "8000", "7fc0", "7f80", "ff80", "7ff0", "fff8", "ffff", "0020", "0001", "7fff", "c07f")
ORDERS = st.sampled_from(["big", "little"])


@st.composite
def tags(draw: st.DrawFn) -> list[Tag]:
    """Tags of one block of registers, in any order of positions, some of them reading the same registers."""
    count = draw(st.integers(1, 8))
    positions = draw(st.permutations(range(1, 11)))[:count]
    found: list[Tag] = []
    for position in positions:
        kind = draw(st.sampled_from(NUMBERS))
        width = WIDTHS[kind]
        address: dict[str, Any] = {"register": draw(st.integers(0, 12)), "byte_order": draw(ORDERS)}
        if width > 1:
            address["word_order"] = draw(ORDERS)
        if kind == "bit":
            address["bit"] = draw(st.integers(0, 15))
        elif draw(st.booleans()):
            address["absent"] = draw(st.sampled_from([0, 1 << (16 * width - 1), (1 << 16 * width) - 1]))
        if kind not in ("bit", "bool"):
            address |= {
                "scale": draw(st.sampled_from([1.0, 0.1, -3.0])),
                "offset": draw(st.sampled_from([0.0, 40.0])),
            }
        found.append(tag(position, kind, **address))
    return found


@given(tags(), st.data())
def test_rows_hold_bit_for_bit_what_each_answer_holds_alone(wanted: list[Tag], data: st.DataObject) -> None:
    (block,) = blocks_of(*wanted)
    decoder = Decoder([block])
    if decoder.rows is None:
        assert any(one.type == "float64" and (one.scale != 1 or one.offset != 0) for one in wanted)
        return
    word = st.sampled_from([bytes.fromhex(one) for one in WORDS]) | st.binary(min_size=2, max_size=2)
    answer = st.lists(word, min_size=block.count, max_size=block.count).map(b"".join)
    answers = data.draw(st.lists(answer, min_size=1, max_size=6))
    value, odd = decoder.rows.decode(answers)
    for at, one in enumerate(answers):
        alone = decoder.decode(one)
        if alone.quality is not None or alone.texts:
            assert odd is not None
            assert odd[at]
        if odd is None or not odd[at]:
            assert value[at].tobytes() == alone.value.tobytes()


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=8))
def test_plain_registers_are_never_odd(registers: list[int]) -> None:
    decoder = Decoder(blocks_of(*(tag(at + 1, "uint16", register=at) for at in range(len(registers)))))
    assert decoder.rows is not None
    value, odd = decoder.rows.decode([np.array(registers, ">u2").tobytes()] * 2)
    assert odd is None
    assert value.tolist() == [registers] * 2


@pytest.mark.parametrize(
    "wanted",
    [
        [tag(1, "bcd16", register=0)],
        [tag(1, "string", register=0, length=2)],
        [tag(1, "bool", table="coil", register=0)],
        [tag(1, "uint16", register=0), tag(2, "uint16", register=100)],
        [tag(1, "float64", register=0, scale=2)],
    ],
)
def test_what_is_more_than_one_block_of_plain_numbers_is_decoded_alone(wanted: list[Tag]) -> None:
    assert Decoder(blocks_of(*wanted)).rows is None


def test_devices_of_one_layout_share_a_decoder_wherever_their_registers_begin() -> None:
    def blocks(start: int, **changed: Any) -> Any:
        window = {"start": start, "length": 10}
        return blocks_of(tag(1, "int16", register=3, **changed), window=window)

    decoders = Decoders()
    kept = decoders.of(blocks(0))
    assert decoders.of(blocks(500)) is kept
    assert decoders.of(blocks(500, scale=0.1)) is not kept
    assert decoders.of(blocks(500, byte_order="little")) is not kept
