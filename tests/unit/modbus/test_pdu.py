"""Requests to the byte, and the one judge of replies; both against pymodbus."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from gateway.adapters.modbus import pdu, rtu
from gateway.adapters.modbus.config import Table
from gateway.adapters.modbus.pdu import Refused, Request, Violation, check

READS: list[tuple[Table, type]] = [
    ("coil", ReadCoilsRequest),
    ("discrete", ReadDiscreteInputsRequest),
    ("holding", ReadHoldingRegistersRequest),
    ("input", ReadInputRegistersRequest),
]


@pytest.mark.parametrize(("table", "theirs"), READS)
@given(start=st.integers(0, 65535), count=st.integers(1, 125), unit=st.integers(0, 247))
def test_a_read_is_what_pymodbus_sends(table: Table, theirs: type, start: int, count: int, unit: int) -> None:
    ours = pdu.read(unit, table, start, count)
    other = theirs(address=start, count=count, dev_id=unit)
    assert ours.pdu == bytes([other.function_code]) + other.encode()
    assert ours.mbap == struct.pack(">HHB", 0, len(ours.pdu) + 1, unit) + ours.pdu
    assert ours.rtu == FramerRTU(DecodePDU(True)).encode(ours.pdu, unit, 0)


@given(
    st.integers(0, 65535), st.lists(st.booleans(), min_size=1, max_size=30), st.binary(min_size=2, max_size=2)
)
def test_a_write_is_what_pymodbus_sends(start: int, bits: list[bool], word: bytes) -> None:
    number = int.from_bytes(word, "big")
    pairs = [
        (pdu.write_coil(1, start, bits[0]), WriteSingleCoilRequest(address=start, bits=bits[:1])),
        (pdu.write_coils(1, start, bits), WriteMultipleCoilsRequest(address=start, bits=bits)),
        (pdu.write_register(1, start, word), WriteSingleRegisterRequest(address=start, registers=[number])),
        (
            pdu.write_registers(1, start, word + word),
            WriteMultipleRegistersRequest(address=start, registers=[number, number]),
        ),
        (
            pdu.mask_write(1, start, number, 5),
            MaskWriteRegisterRequest(address=start, and_mask=number, or_mask=5),
        ),
        (pdu.read_identification(1, 2, 3), ReadDeviceInformationRequest(read_code=2, object_id=3)),
    ]
    for ours, theirs in pairs:
        assert ours.pdu == bytes([theirs.function_code]) + theirs.encode()


READ = pdu.read(1, "holding", 0, 2)
WRITE = pdu.write_register(1, 7, b"\0\x05")


def test_the_right_answers_are_taken() -> None:
    assert check(READ, b"\x03\x04abcd") == b"abcd"
    assert check(WRITE, WRITE.pdu) == b""
    assert check(pdu.write_registers(1, 7, b"abcd"), b"\x10\0\x07\0\x02") == b""
    assert check(pdu.read_identification(1, 1, 0), b"\x2b\x0e\x01\x01\0\0\0") == b"\x01\x01\0\0\0"


@pytest.mark.parametrize(
    ("request_", "answer", "reason"),
    [
        (READ, b"", "modbus.wrong-function"),
        (READ, b"\x04\x04abcd", "modbus.wrong-function"),
        (READ, b"\x84\x02", "modbus.wrong-function"),
        (READ, b"\x03\x02ab", "modbus.wrong-length"),
        (READ, b"\x03\x06abcdef", "modbus.wrong-length"),
        (READ, b"\x03\x04abc", "modbus.wrong-length"),
        (READ, b"\x03\x04abcde", "modbus.wrong-length"),
        (READ, b"\x03", "modbus.wrong-length"),
        (READ, b"\x83", "modbus.wrong-length"),
        (READ, b"\x83\x02\0", "modbus.wrong-length"),
        (WRITE, b"\x06\0\x08\0\x05", "modbus.wrong-echo"),
        (WRITE, b"\x06\0\x07\0\x06", "modbus.wrong-echo"),
        (WRITE, b"\x06\0\x07", "modbus.wrong-echo"),
        (pdu.read_identification(1, 1, 0), b"\x2b\x0d\x01\x01\0\0\0", "modbus.wrong-length"),
    ],
)
def test_a_wrong_answer_is_refused_by_name(request_: Request, answer: bytes, reason: str) -> None:
    with pytest.raises(Violation) as caught:
        check(request_, answer)
    assert caught.value.reason == reason


@given(st.binary(max_size=260))
def test_whatever_comes_is_an_answer_a_refusal_or_a_violation(answer: bytes) -> None:
    try:
        values = check(READ, answer)
    except (Refused, Violation):
        return
    assert answer == b"\x03\x04" + values
    assert len(values) == 4


@pytest.mark.parametrize(("code", "reason"), [(2, "modbus.illegal-address"), (99, "modbus.exception")])
def test_an_exception_reply_is_a_refusal(code: int, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        check(READ, bytes([0x83, code]))
    assert caught.value.reason == reason


@given(st.binary(min_size=1, max_size=250))
def test_the_checksum_is_pymodbus_and_finds_every_single_changed_byte(frame: bytes) -> None:
    whole = rtu.with_crc(frame)
    assert int.from_bytes(whole[-2:], "big") == FramerRTU.compute_CRC(frame)
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0x41
        assert rtu.with_crc(bytes(changed[:-2])) != bytes(changed)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x03\x04abcd",
        b"\x01\x01\x07",
        b"\x06\0\x07\0\x05",
        b"\x10\0\x07\0\x02",
        b"\x16\0\x07\0\x02\0\x03",
        b"\x83\x02",
        b"\x2b\x0e\x01\x01\0\0\x02\0\x04Acme\x01\x01x",
        b"\x2b\x0e\x01\x01\0\0\0",
    ],
)
def test_where_a_reply_ends_is_known_as_soon_as_it_can_be_and_never_wrong(answer: bytes) -> None:
    frame = rtu.with_crc(b"\x01" + answer)
    told = [rtu.reply_length(frame[:length]) for length in range(len(frame) + 1)]
    assert set(told) <= {None, len(frame)}
    assert told[-1] == len(frame)
    assert told == sorted(told, key=lambda length: length is not None)


@given(st.binary(max_size=300))
def test_no_reply_is_longer_than_a_frame_can_be(begun: bytes) -> None:
    length = rtu.reply_length(begun)
    assert length is None or length == 0 or 5 <= length <= rtu.LONGEST
