"""OPC UA: what a server publishes, and single data values."""

import contextlib
from datetime import UTC, datetime

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.adapters.opcua.config import understand
from gateway.adapters.opcua.decode import decode, time_of
from gateway.adapters.opcua.landing import Watched
from gateway.adapters.opcua.notification import GARBLED, read_publish, read_republish
from gateway.adapters.opcua.station import Station
from gateway.adapters.opcua.usual import read_usual
from muster.clock import ManualClock
from muster.device import Device, ReportMode, Tag
from muster.errors import Rejected
from muster.quality import Quality
from tests.fuzz.scans import Sink

_RECEIVED = 1_790_000_000_000_000
_KINDS = ("float64", "float32", "int8", "uint64", "bool", "string", "datetime")
_TAGS = [
    *(Tag(at, f"t{at}", kind, {"node": f"ns=2;s=T{at}"}) for at, kind in enumerate(_KINDS, 1)),
    Tag(8, "t8", "float64", {"node": "ns=2;s=T8"}, scale=1e300),
    Tag(9, "t9", "float64", {"node": "ns=2;s=T9", "index": "Value.0"}),
]
_CONNECTION = {"url": "opc.tcp://press", "security": {"policy": "None", "mode": "none"}}
_DEVICE = Device(1, 1, "d", "d", 1, "opcua", _CONNECTION, ReportMode.PERIODIC, 1.0, _TAGS)
_UNDERSTOOD = understand(_DEVICE)


def notification(data: bytes) -> None:
    """Take a publish response, as it is, at once where that is possible, and as a republished one."""
    usual = read_usual(data)
    with contextlib.suppress(Rejected):
        for said in (read_publish(data), usual):
            if said is not None and said.changes is not None:
                watched = Watched()
                watched.add(Station(_DEVICE, _UNDERSTOOD, Sink(), ManualClock(_RECEIVED)))
                watched.take(said.changes, _RECEIVED)
        usual = None
    assert usual is None  # nothing is read at once that would be rejected else
    with contextlib.suppress(Rejected):
        read_republish(data, 7)


def value(data: bytes) -> None:
    """Take a DataValue that asyncua reads, as each type of tag."""
    try:
        read = struct_from_binary(ua.DataValue, Buffer(data))
    except GARBLED:
        return
    for place in _UNDERSTOOD.places:
        said = decode(read, place)
        if said.value == said.value:
            assert abs(said.value) != float("inf")
            assert said.quality < Quality.BAD
        else:
            assert said.text is not None or said.quality != Quality.GOOD
    time_of(read, _RECEIVED)


def _response(values: list[ua.DataValue]) -> bytes:
    made = ua.PublishResponse()
    made.ResponseHeader.Timestamp = datetime(2026, 1, 1, tzinfo=UTC)
    made.Parameters.SubscriptionId = 7
    made.Parameters.NotificationMessage.SequenceNumber = 3
    items = [ua.MonitoredItemNotification(at, one) for at, one in enumerate(values, 1)]
    made.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification(items)]
    return bytes(struct_to_binary(made))


_AT = datetime(2026, 1, 1, tzinfo=UTC)
_SAID = [
    ua.DataValue(ua.Variant(1.5, ua.VariantType.Double), SourceTimestamp=_AT),
    ua.DataValue(ua.Variant(2.5, ua.VariantType.Float), ua.StatusCode(0x40000000), _AT, _AT),
    ua.DataValue(ua.Variant(-3, ua.VariantType.SByte)),
    ua.DataValue(ua.Variant(2**63, ua.VariantType.UInt64)),
    ua.DataValue(ua.Variant(True, ua.VariantType.Boolean)),
    ua.DataValue(ua.Variant("press", ua.VariantType.String)),
    ua.DataValue(ua.Variant(_AT, ua.VariantType.DateTime)),
    ua.DataValue(ua.Variant(1e200, ua.VariantType.Double)),
    ua.DataValue(ua.Variant([1.0, 2.0], ua.VariantType.Double)),
]
_USUAL = [ua.DataValue(one.Value, ua.StatusCode(0), _AT, _AT) for one in (_SAID[0], _SAID[4], _SAID[2])]
NOTIFICATIONS = [_response(_SAID), _response(_SAID[:1] * 9), _response(_USUAL)]
VALUES = [bytes(struct_to_binary(one)) for one in _SAID]
