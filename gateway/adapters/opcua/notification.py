"""What a server publishes becomes columns: one entry for each data change, and no object for a value.

The layout is that of OPC 10000-6 §5.2 (binary encoding) and OPC 10000-4 §5.14.5 and §7.25. Changes in a row that are
encoded alike are read at once, others one by one. A value that is no plain number (text, array, structure) is left to
asyncua and kept as its Variant. Pure; it must not raise anything but `Rejected`, whatever a server sends.
"""

import struct
from typing import NamedTuple

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from gateway.adapters.opcua.changes import Changes, Columns, Few, microseconds
from muster.errors import Rejected

GARBLED = (
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    ua.UaError,
)
_PUBLISHED = ua.ObjectIds.PublishResponse_Encoding_DefaultBinary
_REPUBLISHED = ua.ObjectIds.RepublishResponse_Encoding_DefaultBinary
_FAULT = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary
_DATA = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
_STATUS = ua.ObjectIds.StatusChangeNotification_Encoding_DefaultBinary

_TYPE = struct.Struct("<BBH")
_HEADER = struct.Struct("<qIIBiHB")
_AVAILABLE = struct.Struct("<Ii")
_MESSAGE = struct.Struct("<Iqi")
_PART = struct.Struct("<BBHBi")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_FOUR_BYTES = 1
_WITH_BODY = 1


class Published(NamedTuple):
    """One publish (or republish) response.

    result: its service result; where that is Bad nothing else is said. stamp: the server's time, µs since 1970.
    keeps_alive: nothing is notified, and `sequence` is that of the next notification. ended: the subscription's last
    status, where it has one.
    """

    result: int
    stamp: int
    subscription: int = 0
    sequence: int = 0
    keeps_alive: bool = True
    changes: Changes | Few | None = None
    ended: int | None = None


def read_publish(body: bytes, at: int = 0) -> Published:
    """Decode a PublishResponse, or the fault in its stead, that begins at `at`. Raises Rejected for anything else."""
    try:
        result, stamp, at = _header(body, at, _PUBLISHED)
        if result >> 31:
            return Published(result, stamp)
        subscription, available = _AVAILABLE.unpack_from(body, at)
        at += _AVAILABLE.size + 4 * max(0, available) + 1  # MoreNotifications: the next answer shows it
        said, at = _message(body, at, result, stamp, subscription)
        at = _skip(body, at, _UINT32.size)
        _INT32.unpack_from(body, at)
        return said
    except GARBLED as error:
        raise Rejected(f"no publish response: {type(error).__name__}: {error}") from error


def read_republish(body: bytes, subscription: int) -> Published:
    """Decode a RepublishResponse of a subscription, or the fault in its stead. Raises Rejected for anything else."""
    try:
        result, stamp, at = _header(body, 0, _REPUBLISHED)
        if result >> 31:
            return Published(result, stamp)
        return _message(body, at, result, stamp, subscription)[0]
    except GARBLED as error:
        raise Rejected(f"no republish response: {type(error).__name__}: {error}") from error


def _header(body: bytes, at: int, wanted: int) -> tuple[int, int, int]:
    """Return the service result, the server's time in µs, and where the header ends."""
    kind, at = _type(body, at)
    if kind not in (wanted, _FAULT):
        raise ValueError(f"type {kind}, not {wanted}")
    ticks, _, result, diagnostics, texts, additional, encoding = _HEADER.unpack_from(body, at)
    if diagnostics == 0 and texts <= 0 and additional == 0 and encoding == 0:
        at += _HEADER.size
    else:
        rest = Buffer(body, at)
        struct_from_binary(ua.ResponseHeader, rest)
        at = rest.cur_pos
    if kind == _FAULT and not result >> 31:
        raise ValueError("a fault without a reason")
    return result, microseconds(ticks), at


def _message(body: bytes, at: int, result: int, stamp: int, subscription: int) -> tuple[Published, int]:
    """Decode a NotificationMessage; return also where it ends."""
    sequence, _, parts = _MESSAGE.unpack_from(body, at)
    at += _MESSAGE.size
    columns, ended = Columns(), None
    for _ in range(parts):
        form, space, kind, encoding, length = _PART.unpack_from(body, at)
        if form == _FOUR_BYTES and space == 0:
            at += _PART.size
        else:
            kind, at = _type(body, at)
            encoding, length = struct.unpack_from("<Bi", body, at)
            at += 5
        end = at + length
        if encoding != _WITH_BODY or length < 0 or end > len(body):
            raise ValueError("a notification without its length")
        if kind == _DATA:
            _INT32.unpack_from(body, columns.read(body, at, end))
        elif kind == _STATUS:
            (ended,) = _UINT32.unpack_from(body, at)
        at = end
    said = Published(result, stamp, subscription, sequence, parts <= 0, columns.whole(), ended)
    return said, at


def _type(body: bytes, at: int) -> tuple[int, int]:
    """Return the number of a type's node id in the standard's namespace (else -1), and where it ends."""
    form, space, number = _TYPE.unpack_from(body, at)
    if form == _FOUR_BYTES:
        return (number if space == 0 else -1), at + _TYPE.size
    rest = Buffer(body, at)
    node = nodeid_from_binary(rest)
    known = node.NamespaceIndex == 0 and isinstance(node.Identifier, int)
    return (node.Identifier if known else -1), rest.cur_pos


def _skip(body: bytes, at: int, size: int) -> int:
    """Return where an array of `size` bytes an element ends."""
    (count,) = _INT32.unpack_from(body, at)
    return int(at + 4 + size * max(0, count))
