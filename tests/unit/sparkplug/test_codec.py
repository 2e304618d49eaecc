"""Sparkplug B payloads come back as they were written, and garbage gives errors, never values."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.errors import Rejected
from muster.sparkplug import DataType, Metric, Payload, Property, decode, encode, typed
from tests.unit.sparkplug.payloads import PAYLOAD, mutated

T = DataType


@given(PAYLOAD)
def test_a_payload_comes_back_as_it_was_written(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@given(st.binary(max_size=200))
def test_random_bytes_are_rejected_or_hold_only_values_of_their_datatypes(raw: bytes) -> None:
    check(raw)


@given(PAYLOAD, st.data())
def test_a_mutated_payload_is_rejected_or_holds_only_values_of_their_datatypes(
    payload: Payload, data: st.DataObject
) -> None:
    check(data.draw(mutated(encode(payload))))


def check(raw: bytes) -> None:
    try:
        payload = decode(raw)
    except Rejected:
        return
    assert all(one.problem or fits(one) for one in payload.metrics)


def fits(metric: Metric) -> bool:
    """Tell whether a value is one that could be written with its datatype."""
    if metric.value is None or metric.datatype is T.UNKNOWN:
        return True
    return decode(encode(Payload(metrics=[metric]))).metrics[0].problem == "" and not metric.is_null


CARRIED = [
    (T.INT8, 0xFB, -5),
    (T.INT8, 0xFFFFFFFB, -5),
    (T.INT8, 2**64 - 5, -5),
    (T.INT8, 127, 127),
    (T.INT16, 0x8000, -32768),
    (T.INT16, 0xFFFF8000, -32768),
    (T.INT32, 0x80000000, -(2**31)),
    (T.INT32, 2**64 - 1, -1),
    (T.INT64, 2**63, -(2**63)),
    (T.UINT8, 255, 255),
    (T.UINT32, 2**32 - 1, 2**32 - 1),
    (T.UINT64, 2**64 - 1, 2**64 - 1),
]
BEYOND = [
    (T.INT8, 256),
    (T.INT8, 0xFFFF),
    (T.INT16, 0x10000),
    (T.INT32, 2**33),
    (T.UINT8, 256),
    (T.UINT16, 2**32 - 1),
    (T.UINT32, 2**32),
    (T.INT32, 1.0),
    (T.INT32, True),
    (T.DOUBLE, 1),
    (T.BOOLEAN, 1),
    (T.STRING, b"x"),
    (T.DATETIME, "2024"),
    (T.INT16ARRAY, b"\0"),
    (T.BOOLEANARRAY, b"\x09\0\0\0\xff"),
    (T.STRINGARRAY, b"no end"),
    (T.STRINGARRAY, b"\xff\xfe\0"),
    (T.UNKNOWN, 1),
]


@pytest.mark.parametrize(("datatype", "carried", "value"), CARRIED)
def test_twos_complement_is_read_by_the_width_of_the_type_or_of_its_carrier(
    datatype: DataType, carried: int, value: int
) -> None:
    assert typed(carried, datatype) == value


@pytest.mark.parametrize(("datatype", "carried"), BEYOND)
def test_a_value_that_is_none_of_its_datatype_is_refused(datatype: DataType, carried: Any) -> None:
    with pytest.raises(Rejected):
        typed(carried, datatype)


def test_one_unusable_metric_leaves_the_others() -> None:
    good, bad = Metric("a", None, T.DOUBLE, 1.5), Metric("b", None, T.INT32, 70_000)
    raw = encode(Payload(1, [bad, good]))
    spoiled = raw.replace(b"\x20\x03", b"\x20\x01")  # the datatype says Int8 now
    first, second = decode(spoiled).metrics
    assert (first.value, first.problem) == (None, "70000 is no INT8")
    assert (second.value, second.problem) == (1.5, "")
    unknown = raw.replace(b"\x20\x03", b"\x20\x63")
    assert decode(unknown).metrics[0].problem == "datatype 99 is none of Sparkplug B"


def test_text_that_is_not_utf_8_is_rejected() -> None:
    with pytest.raises(Rejected):
        decode(b"\x12\x04\x0a\x02\xff\xfe")


def test_without_a_datatype_the_value_stays_as_it_came_until_the_birth_says_it() -> None:
    raw = b"\x12\x08\x10\x07\x50\xfe\xff\xff\xff\x0f"
    (metric,) = decode(raw).metrics
    assert (metric.alias, metric.datatype, metric.value) == (7, T.UNKNOWN, 2**32 - 2)
    assert typed(metric.value, T.INT16) == -2


def test_not_a_number_and_infinity_travel_as_they_are() -> None:
    values = [Metric("n", None, T.DOUBLE, math.nan), Metric("i", None, T.FLOAT, math.inf)]
    back = decode(encode(Payload(metrics=values))).metrics
    assert math.isnan(back[0].value)
    assert back[1].value == math.inf


def test_the_wire_is_the_one_that_others_speak() -> None:
    metric = Metric("T", 2, T.INT32, -1, timestamp_ms=5, properties={"Quality": Property(T.INT32, 192)})
    assert encode(Payload(9, [metric], 3)) == (
        b"\x08\x09\x12\x21"
        b"\x0a\x01T\x10\x02\x18\x05\x20\x03"
        b"\x4a\x10\x0a\x07Quality\x12\x05\x08\x03\x18\xc0\x01"
        b"\x50\xff\xff\xff\xff\x0f"
        b"\x18\x03"
    )
