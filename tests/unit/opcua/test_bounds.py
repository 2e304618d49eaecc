"""A few bytes that claim many elements are no variant."""

import struct

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary, variant_to_binary

import gateway.adapters.opcua.line  # noqa: F401 - where a session's decoding begins

MANY = struct.pack("<i", 2**31 - 1)
ARRAY_OF_NOTHING = b"\x80" + MANY
DIMENSIONS = struct.pack("<iii", 2, 1000, 1000)


@pytest.mark.parametrize(
    "body",
    [
        ARRAY_OF_NOTHING,
        b"\x98" + struct.pack("<i", 1) + ARRAY_OF_NOTHING,  # in an array of variants
        b"\x8c" + MANY + struct.pack("<i", -4),  # texts that each go back to their beginning
        b"\xc6" + struct.pack("<ii", 1, 7) + DIMENSIONS,
        b"\xc6" + struct.pack("<ii", 1, 7) + struct.pack("<iii", 2, -1, -1),
    ],
)
def test_what_claims_more_than_was_sent_is_refused(body: bytes) -> None:
    with pytest.raises(ua.UaError):
        variant_from_binary(Buffer(body))
    with pytest.raises(ua.UaError):
        struct_from_binary(ua.DataValue, Buffer(b"\x01" + body))


@pytest.mark.parametrize("value", [[[1, 2], [3, 4], [5, 6]], [[[1], [2]], [[3], [4]]], [1, 2], []])
def test_arrays_of_any_dimensions_come_as_they_were_sent(value: list[object]) -> None:
    sent = ua.Variant(value, ua.VariantType.Int32, is_array=True)
    assert variant_from_binary(Buffer(variant_to_binary(sent))).Value == value


def test_an_array_of_nothing_may_be_empty() -> None:
    assert variant_from_binary(Buffer(b"\x80\x00\x00\x00\x00")).Value == []
