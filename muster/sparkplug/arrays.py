"""Arrays as they stand in a metric's bytes (Sparkplug 3.0, 6.4.17): little-endian and packed, without padding.

Booleans are a count in four bytes, then bits, the first the most significant of its byte; texts end with a zero byte.
"""

import struct
from collections.abc import Sequence
from typing import Any

from muster.errors import Rejected
from muster.sparkplug.model import DataType

_LETTERS: dict[DataType, str] = {
    DataType.INT8ARRAY: "b",
    DataType.INT16ARRAY: "h",
    DataType.INT32ARRAY: "i",
    DataType.INT64ARRAY: "q",
    DataType.UINT8ARRAY: "B",
    DataType.UINT16ARRAY: "H",
    DataType.UINT32ARRAY: "I",
    DataType.UINT64ARRAY: "Q",
    DataType.FLOATARRAY: "f",
    DataType.DOUBLEARRAY: "d",
    DataType.DATETIMEARRAY: "Q",
}
ARRAYS = frozenset({*_LETTERS, DataType.BOOLEANARRAY, DataType.STRINGARRAY})


def unpack(raw: bytes, datatype: DataType) -> tuple[Any, ...]:
    """Return an array's elements. Raises Rejected when the bytes are none of this type."""
    if datatype is DataType.BOOLEANARRAY:
        return _bits(raw)
    if datatype is DataType.STRINGARRAY:
        return _texts(raw)
    letter = _LETTERS[datatype]
    count, rest = divmod(len(raw), struct.calcsize(f"<{letter}"))
    if rest:
        raise Rejected(f"{len(raw)} bytes are no {datatype.name}")
    return struct.unpack(f"<{count}{letter}", raw)


def pack(values: Sequence[Any], datatype: DataType) -> bytes:
    """Return an array's bytes. Raises Rejected when an element is none of its type."""
    try:
        if datatype is DataType.BOOLEANARRAY:
            bits = bytearray((len(values) + 7) // 8)
            for at, value in enumerate(values):
                bits[at // 8] |= bool(value) << (7 - at % 8)
            return struct.pack("<I", len(values)) + bytes(bits)
        if datatype is DataType.STRINGARRAY:
            if any("\0" in value for value in values):
                raise Rejected("a text with a zero byte cannot stand in a STRINGARRAY")
            return b"".join(value.encode("utf-8") + b"\0" for value in values)
        return struct.pack(f"<{len(values)}{_LETTERS[datatype]}", *values)
    except (struct.error, OverflowError, TypeError, AttributeError, UnicodeEncodeError) as error:
        raise Rejected(f"{datatype.name}: {error}") from error


def _bits(raw: bytes) -> tuple[bool, ...]:
    if len(raw) < 4:
        raise Rejected("a BOOLEANARRAY without its count")
    (count,) = struct.unpack_from("<I", raw)
    if len(raw) != 4 + (count + 7) // 8:
        raise Rejected(f"{len(raw)} bytes are no {count} booleans")
    return tuple(bool(raw[4 + at // 8] >> (7 - at % 8) & 1) for at in range(count))


def _texts(raw: bytes) -> tuple[str, ...]:
    if not raw:
        return ()
    if raw[-1] != 0:
        raise Rejected("the last text of a STRINGARRAY does not end")
    try:
        return tuple(part.decode("utf-8") for part in raw[:-1].split(b"\0"))
    except UnicodeDecodeError as error:
        raise Rejected(f"STRINGARRAY: {error}") from error
