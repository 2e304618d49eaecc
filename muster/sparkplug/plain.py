"""Reading at once what most messages are: DATA whose metrics have an alias, a time, a datatype and a number.

A payload of exactly this form, its fields in the order of their numbers as the known libraries write them, is cut
by an expression; for any other None is returned, and protobuf reads it. What is read is the same.
"""

import re
import struct
from functools import lru_cache

from muster.sparkplug.model import DataType, Metric, Payload

VARINT = rb"[\x80-\xff]{0,8}[\x00-\x7f]"
HEAD = re.compile(rb"\x08(%b)" % VARINT)
METRIC = re.compile(
    rb"\x12([\x00-\x7f])\x10(%b)(?:\x18(%b))?(?:\x20([\x00-\x7f]))?"
    rb"(?:\x69([\x00-\xff]{8})|\x65([\x00-\xff]{4})|\x70([\x00\x01]))" % (VARINT, VARINT)
)
TAIL = re.compile(rb"\x18(%b)" % VARINT)
_double = struct.Struct("<d").unpack
_float = struct.Struct("<f").unpack
KINDS: dict[bytes | None, DataType] = {None: DataType.UNKNOWN, **{bytes([kind]): kind for kind in DataType}}


def read(raw: bytes) -> Payload | None:
    """Return what a payload's bytes hold; None when they are not of this form."""
    head = HEAD.match(raw)
    if head is None:
        return None
    at = head.end()
    metrics: list[Metric] = []
    said, time_ms = b"", None
    value: float | bool
    for found in METRIC.finditer(raw, at):
        begin, end = found.span()
        length, alias, time, kind, double, single, flag = found.groups()
        if begin != at or end - begin - 2 != length[0]:
            return None
        at = end
        if double is not None:
            (value,), fits = _double(double), DataType.DOUBLE
        elif single is not None:
            (value,), fits = _float(single), DataType.FLOAT
        else:
            value, fits = flag == b"\x01", DataType.BOOLEAN
        datatype = KINDS.get(kind)
        if datatype is not fits and datatype is not DataType.UNKNOWN:
            return None
        if time != said:  # nearly always all metrics of a message have one time
            said, time_ms = time, None if time is None else number(time)
        metrics.append(Metric("", number(alias), datatype, value, time_ms))
    tail = TAIL.fullmatch(raw, at)
    if tail is None:
        return None
    return Payload(number(head[1]), metrics, number(tail[1]))


@lru_cache(16_384)
def number(varint: bytes) -> int:
    """Return the number that a whole varint holds."""
    value, shift = 0, 0
    for byte in varint:
        value |= (byte & 127) << shift
        shift += 7
    return value
