"""Requests as bytes, and what may answer them (Modbus Application Protocol V1.1b3, section 6).

Pure. Muster speaks its own few functions rather than through pymodbus, because a poll costs a third of it, because
the same bytes then travel over TCP, TLS and serial lines alike, and because pymodbus returns a reply with the wrong
function code as success. `check` is the only judge of a reply: a value is never taken from one that it refuses.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.adapters.modbus.config import BIT_TABLES, Table
from gateway.adapters.modbus.rtu import with_crc
from muster.errors import Rejected, Unavailable

READ_FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, MASK_WRITE, ENCAPSULATED = 5, 6, 15, 16, 22, 43
IDENTIFICATION = 14  # MEI type of "Read Device Identification"

EXCEPTIONS = {
    1: "modbus.illegal-function",
    2: "modbus.illegal-address",
    3: "modbus.illegal-value",
    4: "modbus.device-failure",
    5: "modbus.acknowledged",
    6: "modbus.device-busy",
    8: "modbus.memory-parity",
    10: "modbus.gateway-path",
    11: "modbus.gateway-target-silent",
}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
GATEWAY_EXCEPTIONS = frozenset({10, 11})
"""Said by a gateway on the way, not by the device: nothing is known of the device."""


class Refused(Rejected):
    """The device answered that it will not; `code` is the exception code of the protocol."""

    def __init__(self, code: int) -> None:
        super().__init__(EXCEPTIONS.get(code, f"modbus.exception code {code}"))
        self.code = code

    @property
    def reason(self) -> str:
        """The catalogue key."""
        return EXCEPTIONS.get(self.code, "modbus.exception")


class Violation(Rejected):
    """What came is no answer to what was asked. `out_of_step`: where the next reply begins is not known."""

    def __init__(self, reason: str, *, out_of_step: bool = False, **detail: int | str) -> None:
        super().__init__(f"{reason} {detail}")
        self.reason = reason
        self.detail = detail
        self.out_of_step = out_of_step


class Silence(Unavailable):
    """No answer came; `reason` is the catalogue key of why."""

    def __init__(self, reason: str, detail: dict[str, int | str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or {}


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One request, prepared for every transport.

    size: bytes of values in a read's answer; echo: the exact reply to a write; both None for an identification.
    mbap: the request on TCP without its transaction number; mbap_head: what its right answer begins with, behind the
    same number; mbap_length: of that answer in all, 0 where it is not known. rtu: the request on a serial line.
    """

    unit: int
    function: int
    pdu: bytes
    size: int | None = None
    echo: bytes | None = None
    mbap: bytes = field(init=False)
    mbap_head: bytes | None = field(init=False)
    mbap_length: int = field(init=False)
    rtu: bytes = field(init=False)

    def __post_init__(self) -> None:
        frame = bytes([self.unit]) + self.pdu
        head = None
        if self.size is not None:
            head = struct.pack(">HHBBB", 0, 3 + self.size, self.unit, self.function, self.size)
        object.__setattr__(self, "mbap", struct.pack(">HH", 0, len(frame)) + frame)
        object.__setattr__(self, "mbap_head", head)
        object.__setattr__(self, "mbap_length", 0 if self.size is None else 9 + self.size)
        object.__setattr__(self, "rtu", with_crc(frame))


@lru_cache(4096)
def read(unit: int, table: Table, start: int, count: int) -> Request:
    """Ask for `count` registers or bits (functions 1 to 4). What many devices are asked alike is made once."""
    function = READ_FUNCTIONS[table]
    size = (count + 7) // 8 if table in BIT_TABLES else 2 * count
    return Request(unit, function, struct.pack(">BHH", function, start, count), size=size)


def write_coil(unit: int, start: int, on: bool) -> Request:
    """Set one coil (function 5)."""
    pdu = struct.pack(">BHH", WRITE_COIL, start, 0xFF00 if on else 0)
    return Request(unit, WRITE_COIL, pdu, echo=pdu)


def write_coils(unit: int, start: int, bits: Sequence[bool]) -> Request:
    """Set several coils (function 15)."""
    size = (len(bits) + 7) // 8
    packed = sum(bit << at for at, bit in enumerate(bits)).to_bytes(size, "little")
    head = struct.pack(">BHH", WRITE_COILS, start, len(bits))
    return Request(unit, WRITE_COILS, head + bytes([size]) + packed, echo=head)


def write_register(unit: int, start: int, register: bytes) -> Request:
    """Set one register (function 6)."""
    pdu = struct.pack(">BH", WRITE_REGISTER, start) + register
    return Request(unit, WRITE_REGISTER, pdu, echo=pdu)


def write_registers(unit: int, start: int, registers: bytes) -> Request:
    """Set several registers (function 16)."""
    head = struct.pack(">BHH", WRITE_REGISTERS, start, len(registers) // 2)
    return Request(unit, WRITE_REGISTERS, head + bytes([len(registers)]) + registers, echo=head)


def mask_write(unit: int, start: int, and_mask: int, or_mask: int) -> Request:
    """Change bits of one register in the device: (old AND and_mask) OR (or_mask AND NOT and_mask); function 22."""
    pdu = struct.pack(">BHHH", MASK_WRITE, start, and_mask, or_mask)
    return Request(unit, MASK_WRITE, pdu, echo=pdu)


def read_identification(unit: int, level: int, first: int) -> Request:
    """Ask for the identification objects of `level` (1 basic, 2 regular, 3 extended) from `first` on."""
    return Request(unit, ENCAPSULATED, bytes([ENCAPSULATED, IDENTIFICATION, level, first]))


def check(request: Request, pdu: bytes) -> bytes:
    """Return the answer in `pdu`: a read's values, nothing for a write, what follows function 43's MEI type.

    Raises:
        Refused: it is an exception reply to this request.
        Violation: it is no answer to this request.
    """
    function = pdu[0] if pdu else 0
    if function == request.function | 0x80:
        if len(pdu) != 2:
            raise Violation("modbus.wrong-length", got=len(pdu), wanted=2)
        raise Refused(pdu[1])
    if function != request.function:
        raise Violation("modbus.wrong-function", got=function, wanted=request.function)
    if request.echo is not None:
        if pdu != request.echo:
            raise Violation("modbus.wrong-echo", got=pdu[:8].hex(), wanted=request.echo.hex())
        return b""
    if request.size is not None:
        if len(pdu) != 2 + request.size or pdu[1] != request.size:
            raise Violation("modbus.wrong-length", got=len(pdu), wanted=2 + request.size)
        return pdu[2:]
    if len(pdu) < 7 or pdu[1] != IDENTIFICATION:
        raise Violation("modbus.wrong-length", got=len(pdu), wanted=7)
    return pdu[2:]
