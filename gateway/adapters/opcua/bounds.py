"""Bounds that asyncua's decoding lacks; importing this sets them, for the whole process.

An array of Null is believed whatever length it claims, for its elements take no bytes; dimensions may claim a million
elements that were never sent; and a text of negative length goes back to its beginning, so that any number of them
fits. A few bytes of one server would keep every device of the gateway waiting. All are refused as OPC 10000-6
§5.2.2.16 has it: what does not fit together cannot be decoded.
"""

import math
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

_unpack = ua_binary.unpack_uatype_array
_shape = ua_binary._reshape
_read = Buffer.read


def _unpack_bounded(kind: ua.VariantType, data: Any) -> list[Any] | None:
    if kind != ua.VariantType.Null:
        found: list[Any] | None = _unpack(kind, data)
        return found
    count = ua_binary.Primitives.Int32.unpack(data)
    if count > 0:
        raise ua.UaError(f"an array of {count} times nothing")
    return None if count < 0 else []


def _shape_bounded(flat: list[Any], dimensions: list[int]) -> list[Any]:
    if min(dimensions, default=0) < 0 or math.prod(dimensions) != len(flat):
        raise ua.UaError(f"dimensions {dimensions} of {len(flat)} elements")
    shaped: list[Any] = _shape(flat, dimensions) if flat else flat
    return shaped


def _read_bounded(buffer: Buffer, size: int) -> bytes:
    if size < 0:
        raise ua.UaError(f"{size} bytes")
    read: bytes = _read(buffer, size)
    return read


Buffer.read = _read_bounded
ua_binary.unpack_uatype_array = _unpack_bounded
ua_binary._reshape = _shape_bounded
