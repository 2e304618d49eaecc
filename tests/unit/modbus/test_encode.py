"""What is written is what was asked for, or nothing."""

import pytest

from gateway.adapters.modbus.encode import encode, encode_bit
from muster.device import Tag
from muster.errors import RequestError
from tests.unit.modbus.documents import tag, understood


def written(one: Tag, value: float | str) -> str:
    (place,) = understood(one).places
    return encode(place, value).hex()


def test_an_engineering_value_becomes_the_raw_value_it_came_from() -> None:
    one = tag(1, "int16", register=0, scale=0.1, offset=-40, writable=True)
    assert written(one, 23.5) == (635).to_bytes(2, "big").hex()
    assert written(one, -45) == (-50).to_bytes(2, "big", signed=True).hex()


def test_integers_of_any_size_keep_every_digit() -> None:
    assert written(tag(1, "uint64", register=0), str(2**64 - 1)) == "ff" * 8
    assert written(tag(1, "int64", register=0), 2**53 + 1) == f"{2**53 + 1:016x}"


def test_text_is_padded_with_zeros() -> None:
    assert written(tag(1, "string", register=0, length=3), "泵") == "e6b3b5000000"


def test_decimal_digits_are_packed() -> None:
    assert written(tag(1, "bcd32", register=0), 1234) == "00001234"


def test_a_bool_in_a_register_is_one_or_zero() -> None:
    assert written(tag(1, "bool", register=0), 1) == "0001"


@pytest.mark.parametrize(
    ("one", "value", "words"),
    [
        (tag(1, "uint16", register=0), 65536, "fit"),
        (tag(1, "uint16", register=0), -1, "fit"),
        (tag(1, "int16", register=0, scale=0.001), 40, "fit"),
        (tag(1, "uint16", register=0), 1.5, "no integer"),
        (tag(1, "float32", register=0), 1e39, "fit"),
        (tag(1, "float32", register=0), float("nan"), "finite"),
        (tag(1, "float32", register=0), "fast", "no number"),
        (tag(1, "float32", register=0, low=0, high=10), 11, "outside"),
        (tag(1, "float32", register=0, low=0), -1, "outside"),
        (tag(1, "bcd16", register=0), 10000, "fit"),
        (tag(1, "bcd16", register=0), -1, "fit"),
        (tag(1, "string", register=0, length=2), "PUMP-1", "fit"),
        (tag(1, "string", register=0, length=2, encoding="ascii"), "泵", "written"),
        (tag(1, "string", register=0, length=2), 5, "no text"),
        (tag(1, "bool", register=0), 2, "neither"),
    ],
)
def test_what_a_tag_cannot_hold_is_refused(one: Tag, value: float | str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        written(one, value)
    assert caught.value.status == 422


def test_limits_have_a_code_of_their_own() -> None:
    with pytest.raises(RequestError) as caught:
        written(tag(1, "float32", register=0, high=10), 11)
    assert caught.value.code == "outside-limits"


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, "0", "1", True, False])
def test_a_bit_is_zero_or_one(value: float | str) -> None:
    (place,) = understood(tag(1, "bit", register=0, bit=4)).places
    assert encode_bit(place, value) is bool(float(value))
