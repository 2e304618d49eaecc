"""The Modbus application protocol from the server's side, as a function of bytes; no sockets here.

Source: MODBUS Application Protocol Specification V1.1b3; clauses are named at each function code.
"""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulators.modbus.units import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Refusal, Table, Unit

MOST_BYTES = 253
"""The longest protocol data unit (clause 4.1)."""

_PAIR = struct.Struct(">HH")
_FUNCTION_PAIR = struct.Struct(">BHH")
_READS = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
_CONFORMITY = 0x83  # extended identification, stream and individual access (clause 6.21)


def answer(unit: Unit, request: bytes) -> bytes:
    """Return the reply to one request, both without address and checksum; a refusal is a reply too."""
    function = request[0]
    try:
        if function == 3 or function == 4:
            start, count = _read_span(request, 125)
            return bytes((function, 2 * count)) + unit.registers(_READS[function], start, count)
        handler = _HANDLERS.get(function)
        if handler is None:
            raise Refusal(ILLEGAL_FUNCTION)
        return handler(unit, request)
    except Refusal as refusal:
        return refuse(function, refusal.code)


def refuse(function: int, code: int) -> bytes:
    """Return the reply that refuses `function` with an exception code (clause 7)."""
    return bytes((function | 0x80, code))


def span(request: bytes) -> tuple[int, int] | None:
    """Return the first address and the number of addresses a request is about; None when it names none.

    A read with write (function 23) is about what it reads.
    """
    if len(request) < 5:
        return None
    start, count = _PAIR.unpack_from(request, 1)
    function = request[0]
    if function in (1, 2, 3, 4, 15, 16, 23):
        return start, count
    return (start, 1) if function in (5, 6, 22) else None


def _read_span(request: bytes, most: int) -> tuple[int, int]:
    if len(request) != 5:
        raise Refusal(ILLEGAL_VALUE)
    start: int
    count: int
    start, count = _PAIR.unpack_from(request, 1)
    if not 1 <= count <= most:
        raise Refusal(ILLEGAL_VALUE)
    return start, count


def _read_bits(unit: Unit, request: bytes) -> bytes:
    """Answer clauses 6.1 and 6.2."""
    start, count = _read_span(request, 2000)
    packed = np.packbits(unit.bits(_READS[request[0]], start, count), bitorder="little").tobytes()
    return bytes((request[0], len(packed))) + packed


def _write_coil(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.5."""
    if len(request) != 5 or request[3:5] not in (b"\xff\x00", b"\x00\x00"):
        raise Refusal(ILLEGAL_VALUE)
    unit.write_bits(_PAIR.unpack_from(request, 1)[0], np.array([request[3] != 0], np.uint8))
    return bytes(request)


def _write_register(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.6."""
    if len(request) != 5:
        raise Refusal(ILLEGAL_VALUE)
    unit.write_registers(_PAIR.unpack_from(request, 1)[0], bytes(request[3:5]))
    return bytes(request)


def _write_coils(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.11."""
    start, count = _write_span(request, 1968)
    if request[5] != (count + 7) // 8 or len(request) != 6 + request[5]:
        raise Refusal(ILLEGAL_VALUE)
    packed = np.frombuffer(request, np.uint8, offset=6)
    values: NDArray[np.uint8] = np.unpackbits(packed, count=count, bitorder="little")
    unit.write_bits(start, values)
    return bytes(request[:5])


def _write_registers(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.12."""
    start, count = _write_span(request, 123)
    if request[5] != 2 * count or len(request) != 6 + 2 * count:
        raise Refusal(ILLEGAL_VALUE)
    unit.write_registers(start, bytes(request[6:]))
    return bytes(request[:5])


def _write_span(request: bytes, most: int) -> tuple[int, int]:
    if len(request) < 6:
        raise Refusal(ILLEGAL_VALUE)
    return _read_span(request[:5], most)


def _mask_register(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.16."""
    if len(request) != 7:
        raise Refusal(ILLEGAL_VALUE)
    start, keep, put = struct.unpack_from(">HHH", request, 1)
    (now,) = struct.unpack(">H", unit.registers(Table.HOLDING, start, 1))
    unit.write_registers(start, struct.pack(">H", (now & keep) | (put & ~keep & 0xFFFF)))
    return bytes(request)


def _read_and_write(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.17: the write comes before the read."""
    if len(request) < 10:
        raise Refusal(ILLEGAL_VALUE)
    start, count, write_start, write_count, length = struct.unpack_from(">HHHHB", request, 1)
    if not (1 <= count <= 125 and 1 <= write_count <= 121 and length == 2 * write_count):
        raise Refusal(ILLEGAL_VALUE)
    if len(request) != 10 + length:
        raise Refusal(ILLEGAL_VALUE)
    unit.registers(Table.HOLDING, start, count)  # refuses before anything is written
    unit.write_registers(write_start, bytes(request[10:]))
    return bytes((request[0], 2 * count)) + unit.registers(Table.HOLDING, start, count)


def _identify(unit: Unit, request: bytes) -> bytes:
    """Answer clause 6.21, read device identification."""
    if len(request) != 4:
        raise Refusal(ILLEGAL_VALUE)
    _, kind, code, first = request
    if kind != 0x0E:
        raise Refusal(ILLEGAL_FUNCTION)
    if not 1 <= code <= 4:
        raise Refusal(ILLEGAL_VALUE)
    objects: Mapping[int, bytes] = unit.identity
    if code == 4:
        if first not in objects:
            raise Refusal(ILLEGAL_ADDRESS)
        wanted = [first]
    else:
        last = {1: 0x02, 2: 0x7F, 3: 0xFF}[code]
        known = sorted(number for number in objects if number <= last)
        wanted = [number for number in known if number >= first] if first in known else known
    chosen = b""
    number_of = 0
    follows = 0
    for number in wanted:
        piece = bytes((number, len(objects[number]))) + objects[number]
        if 7 + len(chosen) + len(piece) > MOST_BYTES:
            follows = number
            break
        chosen += piece
        number_of += 1
    more = 0xFF if follows else 0
    return bytes((0x2B, 0x0E, code, _CONFORMITY, more, follows, number_of)) + chosen


_HANDLERS = {
    1: _read_bits,
    2: _read_bits,
    5: _write_coil,
    6: _write_register,
    15: _write_coils,
    16: _write_registers,
    22: _mask_register,
    23: _read_and_write,
    0x2B: _identify,
}
