"""The publish response that comes again and again, read at once: a few Good numbers, each with its source time.

What is written here is a special case of `notification.py`, which takes whatever is passed back to it: a fault, a
keep-alive, a status, a text, a value that is not finite, many changes. A property test holds both equal. A notification
is read by one compiled struct, which its changes' mask and kinds decide: with so few changes, numpy's calls would cost
more than a Python number for each value. Pure.
"""

import struct
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

from asyncua import ua

from gateway.adapters.opcua.changes import (
    ABSENT,
    EXACT,
    KIND_AT,
    MASK_AT,
    SERVER,
    SERVER_PICO,
    SOURCE,
    SOURCE_PICO,
    STATUS,
    VALUE,
    WHOLE,
    Few,
    microseconds,
)
from gateway.adapters.opcua.notification import Published

MOST = 128
"""Of more changes than this numpy is cheaper."""
_START = struct.Struct(
    "<Iq4xIQIi"
)  # type, time, result, rest of the header, subscription, numbers that are available
_MESSAGE = struct.Struct("<xI8x9sii")  # sequence, how many parts and which, length, changes
_END = struct.Struct("<i")
_PUBLISHED = 1 | ua.ObjectIds.PublishResponse_Encoding_DefaultBinary << 16  # a node id in four bytes
_NO_MORE = [int.from_bytes(struct.pack("<BiHB", 0, texts, 0, 0), "little") for texts in (0, -1)]
_ONE_PART = struct.pack("<iBBHB", 1, 1, 0, ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary, 1)
_CODES = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
_WIDTHS = bytes(struct.calcsize("<" + _CODES[kind]) if kind in _CODES else 0 for kind in range(256))


def read_usual(body: bytes, at: int = 0) -> Published | None:
    """Decode a usual PublishResponse that begins at `at`; None for anything else, be it a response or not."""
    try:
        kind, ticks, result, more, subscription, available = _START.unpack_from(body, at)
        if kind != _PUBLISHED or result >> 31 or more not in _NO_MORE:
            return None
        at += _START.size + 4 * max(0, available)
        sequence, parts, length, count = _MESSAGE.unpack_from(body, at)
        if parts != _ONE_PART or not 0 < count <= MOST:
            return None
        at += _MESSAGE.size
        end = at + length - _END.size
        (acknowledged,) = _END.unpack_from(body, end)
        _END.unpack_from(body, end + _END.size + 4 * max(0, acknowledged))
        few = _read_few(body, at, end, count)
    except (struct.error, IndexError):
        return None
    if few is None:
        return None
    return Published(result, microseconds(ticks), subscription, sequence, False, few, None)


def _read_few(body: bytes, at: int, end: int, count: int) -> Few | None:
    """Read the changes that stand at `at`; behind them, up to `end`, are the diagnostics, of which there are none.

    Raises struct.error or IndexError.
    """
    mask, kind = body[at + MASK_AT], body[at + KIND_AT]
    form = _FORMS[mask]
    if form is None:
        return None
    size = form.rest + _WIDTHS[kind]
    stop = at + count * size
    kinds = body[at + KIND_AT : stop : size]
    if kinds.count(kind) != count or body[at + MASK_AT : stop : size].count(mask) != count:
        kinds = _walk(body, at, count, mask)
    layout = _layout(mask, kinds)
    if layout is None or len(kinds) != count or at + layout.octets.size + _END.size != end:
        return None
    told = layout.octets.unpack_from(body, at)
    value, source = told[1 :: form.fields], told[form.fields - 1 :: form.fields]
    if mask & STATUS and told[2 :: form.fields].count(0) != count:
        return None
    if not isfinite(sum(value)) or ABSENT in source:
        return None
    if layout.is_whole and (max(value) > EXACT or min(value) < -EXACT):
        return None
    return Few(told[0 :: form.fields], kinds, value, source, body, at - _END.size, end)


def _walk(body: bytes, at: int, count: int, mask: int) -> bytes:
    """Return the kinds of changes of one mask but several kinds; fewer where that is not what they are."""
    form = _FORMS[mask]
    assert form is not None
    kinds = bytearray()
    while len(kinds) < count and body[at + MASK_AT] == mask:
        kinds.append(body[at + KIND_AT])
        at += form.rest + _WIDTHS[kinds[-1]]
    return bytes(kinds)


class _Form(NamedTuple):
    """How changes of one mask lie. rest: the bytes of a change without its value; fields: how many are read of it."""

    rest: int
    fields: int
    tail: str


def _form(mask: int) -> _Form | None:
    """Return what follows a value: status and source time, of the others nothing is read (OPC 10000-6 §5.2.2.17)."""
    if mask & ~(STATUS | SERVER | SOURCE_PICO | SERVER_PICO) != VALUE | SOURCE:
        return None
    codes = ((STATUS, "I"), (SOURCE, "q"), (SOURCE_PICO, "2x"), (SERVER, "8x"), (SERVER_PICO, "2x"))
    tail = "".join(code for bit, code in codes if mask & bit)
    return _Form(struct.calcsize("<I2x" + tail), 4 if mask & STATUS else 3, tail)


_FORMS = [_form(mask) for mask in range(256)]


class _Layout(NamedTuple):
    """Changes of one form and certain kinds. is_whole: whether one may be too large for a float64."""

    octets: struct.Struct
    is_whole: bool


@lru_cache(maxsize=512)
def _layout(mask: int, kinds: bytes) -> _Layout | None:
    """Return how changes lie; None where a value has no fixed size."""
    form = _FORMS[mask]
    if form is None or not all(_WIDTHS[kind] for kind in kinds):
        return None
    octets = struct.Struct("<" + "".join(f"I2x{_CODES[kind]}{form.tail}" for kind in kinds))
    return _Layout(octets, any(kind in kinds for kind in WHOLE))
