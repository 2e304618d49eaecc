"""Notifications become columns exactly as asyncua reads them; what is cut short or no notification gives nothing."""

import math
import struct
import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.opcua.changes import ABSENT, NOTHING, OTHER, Changes, microseconds
from gateway.adapters.opcua.decode import moment_us
from gateway.adapters.opcua.notification import read_publish, read_republish
from muster.errors import Rejected

TYPE = ua.VariantType
BITS = {
    TYPE.SByte: (-(2**7), 2**7 - 1),
    TYPE.Byte: (0, 2**8 - 1),
    TYPE.Int16: (-(2**15), 2**15 - 1),
    TYPE.UInt16: (0, 2**16 - 1),
    TYPE.Int32: (-(2**31), 2**31 - 1),
    TYPE.UInt32: (0, 2**32 - 1),
    TYPE.Int64: (-(2**63), 2**63 - 1),
    TYPE.UInt64: (0, 2**64 - 1),
}
times = st.datetimes(  # hypothesis wants its ends without a time zone
    datetime(1601, 1, 2),  # noqa: DTZ001
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
scalars: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    TYPE.Null: st.none(),
    TYPE.Boolean: st.booleans(),
    **{kind: st.integers(*ends) for kind, ends in BITS.items()},
    TYPE.Float: st.floats(width=32),
    TYPE.Double: st.floats(),
    TYPE.DateTime: times,
}
others: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    TYPE.String: st.none() | st.text(max_size=8),
    TYPE.ByteString: st.none() | st.binary(max_size=8),
    TYPE.XmlElement: st.just(ua.XmlElement("<a/>")),
    TYPE.Guid: st.uuids(),
    TYPE.NodeId: st.just(ua.NodeId("x", 2)),
    TYPE.ExpandedNodeId: st.just(ua.ExpandedNodeId("x", 2)),
    TYPE.StatusCode: st.integers(0, 2**32 - 1).map(ua.StatusCode),
    TYPE.QualifiedName: st.just(ua.QualifiedName("a", 1)),
    TYPE.LocalizedText: st.text(max_size=4).map(ua.LocalizedText),
    TYPE.ExtensionObject: st.just(ua.Range(1.0, 2.0)),
    TYPE.DataValue: st.just(ua.DataValue(ua.Variant(1.0, TYPE.Double))),
    TYPE.Variant: st.just(ua.Variant(1.0, TYPE.Double)),
}


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from([*scalars, *scalars, *others]))
    value = {**scalars, **others}[kind]
    if kind is not TYPE.Null and draw(st.integers(0, 9)) == 0:
        return ua.Variant(draw(st.lists(value, max_size=3)), kind, is_array=True)
    return ua.Variant(draw(value), kind)


statuses = (
    st.none() | st.sampled_from([0, 0x0480, 0x40000000, 0x80000000, 0x803C0000]) | st.integers(0, 2**32 - 1)
)


@st.composite
def values(draw: st.DrawFn) -> ua.DataValue:
    variant = draw(st.none() | variants())
    status = draw(statuses)
    made = ua.DataValue(
        variant,
        None if status is None else ua.StatusCode(status),
        SourceTimestamp=draw(st.none() | times),
        ServerTimestamp=draw(st.none() | times),
    )
    if variant is None:
        object.__setattr__(made, "Value", None)
    return made


same_shape = st.builds(
    lambda at, numbers: [ua.DataValue(ua.Variant(one, TYPE.Double), SourceTimestamp=at) for one in numbers],
    times,
    st.lists(st.floats(), min_size=1, max_size=20),
)
handles = st.integers(0, 2**32 - 1)


def response(*parts: Any, sequence: int = 3) -> bytes:
    made = ua.PublishResponse()
    made.ResponseHeader.Timestamp = datetime(2026, 1, 1, tzinfo=UTC)
    made.Parameters.SubscriptionId = 7
    made.Parameters.AvailableSequenceNumbers = [1, 2]
    made.Parameters.NotificationMessage.SequenceNumber = sequence
    made.Parameters.NotificationMessage.NotificationData = list(parts)
    return bytes(struct_to_binary(made))


def told(items: list[tuple[int, ua.DataValue]]) -> ua.DataChangeNotification:
    return ua.DataChangeNotification([ua.MonitoredItemNotification(handle, value) for handle, value in items])


def check(found: Changes, at: int, handle: int, wanted: ua.DataValue) -> None:
    """Compare one change with what asyncua says of it, bit by bit."""
    kind = int(np.broadcast_to(found.kind, len(found))[at])
    variant = wanted.Value
    assert int(found.handle[at]) == handle
    status = 0 if found.status is None else int(found.status[at])
    assert status == (0 if wanted.StatusCode is None else wanted.StatusCode.value)
    for column, moment in ((found.source, wanted.SourceTimestamp), (found.server, wanted.ServerTimestamp)):
        ticks = ABSENT if column is None else int(column[at])
        assert (ticks if ticks == ABSENT else microseconds(ticks)) == (
            ABSENT if moment is None else moment_us(moment)
        )
    if kind == OTHER:
        other = found.others[at]
        assert other.VariantType == variant.VariantType
        assert repr(other.Value) == repr(variant.Value)  # NaN in an array is not equal to itself
    elif kind == NOTHING:
        assert variant.Value is None
    else:
        assert kind == variant.VariantType.value
        assert not variant.is_array
        raw = moment_us(variant.Value) / 1e6 if kind == TYPE.DateTime.value else variant.Value
        if isinstance(raw, float) and math.isnan(raw):
            assert math.isnan(found.value[at])
        else:
            assert np.float64(raw).tobytes() == found.value[at].tobytes()
            assert isinstance(raw, float) or int(found.value[at]) == raw


@settings(max_examples=400)
@given(
    st.lists(
        st.lists(st.tuples(handles, values()), max_size=8)
        | st.tuples(handles, same_shape).map(lambda both: [(both[0], one) for one in both[1]]),
        max_size=3,
    )
)
def test_columns_hold_what_asyncua_reads(parts: list[list[tuple[int, ua.DataValue]]]) -> None:
    body = response(*(told(items) for items in parts))
    reference = struct_from_binary(ua.PublishResponse, Buffer(body)).Parameters.NotificationMessage
    items = [item for part in reference.NotificationData for item in part.MonitoredItems]
    said = read_publish(body)
    assert (said.result, said.subscription, said.sequence, said.ended) == (0, 7, 3, None)
    assert said.keeps_alive == (not parts)
    assert len(items) == (0 if said.changes is None else len(said.changes))
    for at, item in enumerate(items):
        assert said.changes is not None
        check(said.changes, at, item.ClientHandle, item.Value)


@given(st.integers(0, 63), st.integers(1, 12))
def test_every_mask_is_read_as_the_standard_lays_it_out(mask: int, count: int) -> None:
    source, server = 132_000_000_000_000_000, 132_000_000_000_000_010
    fields = (
        (1, struct.pack("<Bd", 11, 1.5)),
        (2, struct.pack("<I", 0x40000000)),
        (4, struct.pack("<q", source)),
        (16, struct.pack("<H", 17)),
        (8, struct.pack("<q", server)),
        (32, struct.pack("<H", 4711)),
    )
    value = bytes([mask]) + b"".join(octets for bit, octets in fields if mask & bit)
    text = struct.pack("<IBBi", 99, 1, 12, 2) + b"ab"
    for items in (
        [struct.pack("<I", handle) + value for handle in range(count)],
        [struct.pack("<I", handle) + value for handle in range(count)] + [text],
    ):
        inner = struct.pack("<i", len(items)) + b"".join(items) + struct.pack("<i", -1)
        message = struct.pack("<Iqi", 1, 0, 1) + struct.pack("<BBHBi", 1, 0, 811, 1, len(inner)) + inner
        head = struct.pack("<BBHqIIBiHB", 1, 0, 829, 0, 1, 0, 0, -1, 0, 0) + struct.pack("<IiB", 7, 0, 0)
        found = read_publish(head + message + struct.pack("<ii", -1, -1)).changes
        assert found is not None
        assert len(found) == len(items)
        for at in range(count):
            assert int(found.handle[at]) == at
            assert float(found.value[at]) == (1.5 if mask & 1 else 0)
            assert (0 if found.status is None else int(found.status[at])) == (0x40000000 if mask & 2 else 0)
            times = found.times(5)
            wanted = source if mask & 4 else server if mask & 8 else None
            assert int(times[at]) == (5 if wanted is None else wanted // 10 - 11_644_473_600_000_000)


SAMPLE = response(
    told(
        [(1, ua.DataValue(ua.Variant(1.5, TYPE.Double))), (2, ua.DataValue(ua.Variant("text", TYPE.String)))]
    ),
    told([(3, ua.DataValue(ua.Variant(k, TYPE.Int32))) for k in range(9)]),
)


@pytest.mark.parametrize("end", range(len(SAMPLE)))
def test_what_is_cut_short_is_rejected_whole(end: int) -> None:
    with pytest.raises(Rejected):
        read_publish(SAMPLE[:end])


@settings(max_examples=600)
@given(st.binary(max_size=80), st.integers(0, len(SAMPLE)), st.integers(0, 255))
def test_garbage_is_rejected_or_read_and_never_ends_anything(garbage: bytes, at: int, octet: int) -> None:
    spoilt = SAMPLE[:at] + bytes([octet]) + SAMPLE[at + 1 :]
    for body in (garbage, SAMPLE[:at] + garbage, spoilt):
        for read in (lambda body: read_publish(body), lambda body: read_republish(body, 7)):
            try:
                read(body)
            except Rejected:
                continue


def test_an_array_longer_than_its_message_is_rejected_before_memory_is_asked_for() -> None:
    item = struct.pack("<IBBi", 1, 1, 0x80, 2**31 - 1)
    inner = struct.pack("<i", 1) + item + struct.pack("<i", -1)
    head = struct.pack("<BBHqIIBiHB", 1, 0, 829, 0, 1, 0, 0, -1, 0, 0) + struct.pack("<IiB", 7, 0, 0)
    message = struct.pack("<Iqi", 1, 0, 1) + struct.pack("<BBHBi", 1, 0, 811, 1, len(inner)) + inner
    with pytest.raises(Rejected, match="array"):
        read_publish(head + message + struct.pack("<ii", -1, -1))


def test_a_fault_gives_its_status_and_the_end_of_a_subscription_its_own() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadNoSubscription)
    assert read_publish(bytes(struct_to_binary(fault))).result == ua.StatusCodes.BadNoSubscription
    ended = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    said = read_publish(response(ended))
    assert (said.ended, said.keeps_alive, said.changes) == (ua.StatusCodes.BadTimeout, False, None)


def test_events_that_nobody_asked_for_are_passed_over_and_diagnostics_are_read() -> None:
    event = ua.EventNotificationList([ua.EventFieldList(1, [ua.Variant(uuid.uuid4(), TYPE.Guid)])])
    said = read_publish(response(event, told([(1, ua.DataValue(ua.Variant(2.5, TYPE.Double)))])))
    assert said.changes is not None
    assert said.changes.value.tolist() == [2.5]
    made = ua.PublishResponse()
    made.ResponseHeader.StringTable = ["why"]
    made.ResponseHeader.ServiceDiagnostics = ua.DiagnosticInfo(SymbolicId=0)
    made.Parameters.SubscriptionId = 9
    assert read_publish(bytes(struct_to_binary(made))).subscription == 9


def test_a_republished_notification_is_read_like_a_published_one() -> None:
    made = ua.RepublishResponse()
    made.NotificationMessage.SequenceNumber = 12
    made.NotificationMessage.NotificationData = [told([(4, ua.DataValue(ua.Variant(True, TYPE.Boolean)))])]
    said = read_republish(bytes(struct_to_binary(made)), 7)
    assert (said.subscription, said.sequence) == (7, 12)
    assert said.changes is not None
    assert said.changes.value.tolist() == [1.0]
