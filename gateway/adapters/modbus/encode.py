"""From an engineering value to registers: the inverse of the decoder, for writes.

Pure. A value that the tag cannot hold is refused, never bent: no wrap-around, no silent rounding of text.
"""

import math
import struct

from gateway.adapters.modbus.config import BIT_TABLES, Place
from muster.errors import RequestError

_FORMATS = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}


def is_bit(place: Place) -> bool:
    """Whether the tag is one bit: a coil, or a bit of a register."""
    return place.address.table in BIT_TABLES or place.address.bit is not None


def encode_bit(place: Place, value: float | str) -> bool:
    """Return the bit to write. Raises RequestError when `value` is not 0 or 1, or outside the tag's limits."""
    number = _number(place, value)
    if number not in (0, 1):
        raise _refuse(place, f"{value} is neither 0 nor 1")
    return bool(number)


def encode(place: Place, value: float | str) -> bytes:
    """Return the tag's registers as they travel.

    Raises:
        RequestError: the value is outside the tag's limits, or its type cannot hold it.
    """
    kind = place.tag.type
    if kind == "string":
        return _ordered(place, _text(place, value))
    number = _number(place, value)
    if kind == "bool":
        return _ordered(place, int(encode_bit(place, value)).to_bytes(2, "big"))
    raw: float | int = number
    if place.tag.scale != 1 or place.tag.offset != 0:
        raw = (number - place.tag.offset) / place.tag.scale
    if kind not in ("float32", "float64"):
        raw = round(raw)
        if (place.tag.scale, place.tag.offset) == (1, 0) and raw != number:
            raise _refuse(place, f"{value} is no integer")
    try:
        if kind in ("bcd16", "bcd32"):
            digits = f"{raw:0{4 * place.width}d}"
            packed = bytes.fromhex(digits) if raw >= 0 and len(digits) == 4 * place.width else None
            if packed is None:
                raise OverflowError
        else:
            packed = struct.pack(_FORMATS[kind], raw)
    except (struct.error, OverflowError) as error:
        raise _refuse(place, f"{value} does not fit in {kind}") from error
    return _ordered(place, packed)


def _number(place: Place, value: float | str) -> float | int:
    """Read the number, exactly for integers of any size, and hold it against the tag's limits."""
    number: float | int
    try:
        number = int(value) if isinstance(value, str) and "." not in value else float(value)
    except ValueError as error:
        raise _refuse(place, f"{value!r} is no number") from error
    if isinstance(value, int):
        number = int(value)
    if not math.isfinite(number):
        raise _refuse(place, f"{value} is not finite")
    low, high = place.tag.low, place.tag.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise _refuse(place, f"{value} is outside {low} to {high}", code="outside-limits")
    return number


def _text(place: Place, value: float | str) -> bytes:
    if not isinstance(value, str):
        raise _refuse(place, f"{value!r} is no text")
    try:
        text = value.encode(place.address.encoding)
    except UnicodeEncodeError as error:
        raise _refuse(place, f"{value!r} cannot be written in {place.address.encoding}") from error
    if len(text) > 2 * place.width:
        raise _refuse(place, f"{len(text)} bytes do not fit in {2 * place.width}")
    return text.ljust(2 * place.width, b"\0")


def _ordered(place: Place, big: bytes) -> bytes:
    words = [big[at : at + 2] for at in range(0, len(big), 2)]
    if place.address.word_order == "little":
        words.reverse()
    if place.address.byte_order == "little":
        words = [word[::-1] for word in words]
    return b"".join(words)


def _refuse(place: Place, why: str, code: str = "value-refused") -> RequestError:
    return RequestError(f"{place.tag.name}: {why}", status=422, code=code)
