"""What most DATA messages are is read by a shorter way; whatever it reads, protobuf reads the same."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.errors import Rejected
from muster.sparkplug import DataType, Metric, Payload, encode, plain
from muster.sparkplug.codec import decode_any

TIME = st.integers(0, 2**63 - 1)
VALUES = st.one_of(
    st.tuples(st.just(DataType.DOUBLE), st.floats()),
    st.tuples(st.just(DataType.FLOAT), st.floats(width=32)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
)
METRIC = st.builds(
    lambda alias, time, value: Metric("", alias, value[0], value[1], time), TIME, st.none() | TIME, VALUES
)
DATA = st.builds(Payload, TIME, st.lists(METRIC, max_size=12), st.integers(0, 255))


@given(DATA)
def test_data_by_alias_is_read_by_the_shorter_way_and_as_protobuf_reads_it(payload: Payload) -> None:
    raw = encode(payload)
    assert repr(plain.read(raw)) == repr(decode_any(raw))


@given(DATA, st.data())
def test_whatever_became_of_its_bytes_the_shorter_way_reads_them_as_protobuf_or_not_at_all(
    payload: Payload, data: st.DataObject
) -> None:
    raw = bytearray(encode(payload))
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(begin, min(len(raw), begin + 4)))
        raw[begin:end] = data.draw(st.binary(max_size=4))
    found = plain.read(bytes(raw))
    if found is not None:
        assert repr(found) == repr(decode_any(bytes(raw)))


@pytest.mark.parametrize(
    "between",
    [b"\x18\x07", b"\x12\x00", b"\x22\x01u", b"\x12\x02\x10\x01", b"\x12\x0d\x08\x01\x10\x01\x69" + bytes(8)],
)
def test_what_stands_between_metrics_is_never_passed_over(between: bytes) -> None:
    # the last value ends as a sequence number would look that stood where the passed-over bytes end
    metric = b"\x12\x0d\x10\x01\x20\x0a\x69" + struct.pack("<d", 1.0)[:6] + b"\x18\x05"
    raw = b"\x08\x01" + between + metric
    assert plain.read(raw) is None


def test_a_number_in_a_field_that_is_not_its_datatypes_is_left_to_protobuf() -> None:
    double_as_text = b"\x08\x01\x12\x0d\x10\x01\x20\x0c\x69" + bytes(8) + b"\x18\x00"
    assert plain.read(double_as_text) is None
    assert decode_any(double_as_text).metrics[0].problem
    beyond = b"\x08\x01\x12\x0d\x10\x01\x20\x7f\x69" + bytes(8) + b"\x18\x00"
    assert plain.read(beyond) is None


def test_a_payload_that_was_cut_short_is_none() -> None:
    raw = encode(Payload(1, [Metric("", 1, DataType.DOUBLE, 1.0, 1)], 3))
    assert plain.read(raw) is not None
    for end in range(len(raw)):
        assert plain.read(raw[:end]) is None
    with pytest.raises(Rejected):
        decode_any(raw[:-4])
