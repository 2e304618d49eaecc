"""What is read at once is read as what is read one by one; anything out of the usual is left to the other way."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.opcua.changes import Changes, Few
from gateway.adapters.opcua.notification import Published, read_publish
from gateway.adapters.opcua.usual import MOST, read_usual
from muster.errors import Rejected
from tests.unit.opcua.test_notification import TYPE, handles, response, scalars, times, told, values

AT = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = [kind for kind in scalars if kind not in (TYPE.Null, TYPE.DateTime)]


@st.composite
def alike(draw: st.DrawFn) -> list[tuple[int, ua.DataValue]]:
    """Changes of one mask, of any kinds of numbers."""
    status = draw(st.sampled_from([None, ua.StatusCode(0)]))
    server = draw(st.none() | times)
    kinds = draw(
        st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=8)
        | st.sampled_from(NUMBERS).map(lambda kind: [kind] * 7)
    )
    return [
        (
            draw(handles),
            ua.DataValue(
                ua.Variant(draw(scalars[kind]), kind),
                status,
                SourceTimestamp=draw(times),
                ServerTimestamp=server,
            ),
        )
        for kind in kinds
    ]


def same(usual: Published, other: Published) -> None:
    """Compare two ways of reading one response, bit by bit."""
    assert usual._replace(changes=None) == other._replace(changes=None)
    few, changes = usual.changes, other.changes
    assert isinstance(few, Few)
    assert isinstance(changes, Changes)
    for one, another in zip(_columns(few.columns()), _columns(changes), strict=True):
        assert one == another
    assert changes.status is None or not changes.status.any()
    assert changes.others == {}
    assert changes.source is not None
    assert list(few.handle) == changes.handle.tolist()
    assert struct.pack(f"<{len(few.value)}d", *few.value) == changes.value.tobytes()
    assert list(few.source) == changes.source.tolist()
    kinds = [changes.kind] * len(changes) if isinstance(changes.kind, int) else changes.kind.tolist()
    assert list(few.kinds) == kinds


def _columns(changes: Changes) -> list[Any]:
    columns = (changes.handle, changes.value, changes.source, changes.server)
    return [None if column is None else column.tobytes() for column in columns]


@settings(max_examples=400)
@given(alike() | st.lists(st.tuples(handles, values()), max_size=8), st.integers(0, 3))
def test_what_is_read_at_once_is_what_is_read_one_by_one(
    items: list[tuple[int, ua.DataValue]], before: int
) -> None:
    body = bytes(before) + response(told(items))
    usual = read_usual(body, before)
    if usual is not None:
        same(usual, read_publish(body, before))


def machine(count: int = 3, **more: Any) -> bytes:
    kinds = (TYPE.Double, TYPE.Boolean, TYPE.UInt16)
    return response(
        told(
            [
                (at, ua.DataValue(ua.Variant(1, kinds[at % 3]), SourceTimestamp=AT, **more))
                for at in range(count)
            ]
        )
    )


@pytest.mark.parametrize("count", [1, 2, 3, MOST])
@pytest.mark.parametrize(
    "more", [{}, {"ServerTimestamp": AT}, {"SourcePicoseconds": 7}, {"StatusCode": ua.StatusCode(0)}]
)
def test_what_machines_send_is_usual(count: int, more: dict[str, Any]) -> None:
    usual = read_usual(machine(count, **more))
    assert usual is not None
    same(usual, read_publish(machine(count, **more)))


def one(variant: ua.Variant, **more: Any) -> bytes:
    return response(told([(1, ua.DataValue(variant, **{"SourceTimestamp": AT, **more}))]))


FAULT = ua.ServiceFault()
FAULT.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTimeout)


UNUSUAL = {
    "many": machine(MOST + 1),
    "nan": one(ua.Variant(float("nan"), TYPE.Double)),
    "infinite": one(ua.Variant(float("inf"), TYPE.Float)),
    "large": one(ua.Variant(2**53 + 1, TYPE.Int64)),
    "small": one(ua.Variant(-(2**53) - 1, TYPE.Int64)),
    "text": one(ua.Variant("text", TYPE.String)),
    "time": one(ua.Variant(AT, TYPE.DateTime)),
    "array": one(ua.Variant([1.0], TYPE.Double)),
    "no-source-time": one(ua.Variant(1.0, TYPE.Double), SourceTimestamp=None),
    "uncertain": one(ua.Variant(1.0, TYPE.Double), StatusCode=ua.StatusCode(0x40000000)),
    "empty": response(),
    "status": response(ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))),
    "two": response(told([(1, ua.DataValue(ua.Variant(1.0), SourceTimestamp=AT))]), told([])),
    "fault": bytes(struct_to_binary(FAULT)),
}


@pytest.mark.parametrize("body", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_out_of_the_usual_is_left_to_the_other_way(body: bytes) -> None:
    assert read_usual(body) is None
    read_publish(body)


SAMPLE = machine(4)


@settings(max_examples=600)
@given(st.binary(max_size=80), st.integers(0, len(SAMPLE)), st.integers(0, 255))
def test_of_what_is_spoilt_or_cut_short_no_more_is_read_than_the_other_way(
    garbage: bytes, at: int, octet: int
) -> None:
    spoilt = SAMPLE[:at] + bytes([octet]) + SAMPLE[at + 1 :]
    for body in (garbage, SAMPLE[:at], SAMPLE[:at] + garbage, spoilt):
        usual = read_usual(body)
        if usual is not None:
            try:
                same(usual, read_publish(body))
            except Rejected as error:
                raise AssertionError(body.hex()) from error
