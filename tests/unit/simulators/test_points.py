"""Engineering values as registers, and back."""

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.machines.points import Point, from_registers, to_registers

ORDERS = st.sampled_from(["big", "little"])


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), ORDERS)
def test_a_float_stands_in_its_registers_bit_for_bit(values: list[float], order: str) -> None:
    point = Point("speed", "", "float32", "holding", 0)
    words = to_registers(point, np.array(values), order)
    for value, (first, second) in zip(values, words.tolist(), strict=True):
        high, low = (second, first) if order == "little" else (first, second)
        assert struct.pack(">HH", high, low) == struct.pack(">f", value)
    assert from_registers(point, words, order).tolist() == values


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), ORDERS)
def test_a_scaled_integer_is_given_back(raw: list[int], order: str) -> None:
    point = Point("level", "", "int32", "holding", 0, scale=0.25, offset=-40.0)
    values = np.array(raw) * 0.25 - 40.0
    assert from_registers(point, to_registers(point, values, order), order).tolist() == values.tolist()


@given(st.floats(-1e12, 1e12))
def test_an_integer_register_stops_at_its_ends(value: float) -> None:
    point = Point("power", "", "uint16", "holding", 0, scale=0.1)
    (found,) = from_registers(point, to_registers(point, np.array([value]), "big"), "big")
    assert 0.0 <= found <= 6553.5
    if 0.0 <= value <= 6553.5:
        assert abs(found - value) <= 0.0500001


def test_a_setting_that_is_no_number_is_the_initial_one_and_one_beyond_the_limits_the_limit() -> None:
    point = Point("setpoint", "", "float32", "holding", 0, writable=True, low=30, high=100, initial=88)
    words = np.array([float("nan"), float("inf"), 3.0, 1e9, 55.0], ">f4").view(">u2").reshape(5, 2)
    assert from_registers(point, words, "big").tolist() == [88.0, 88.0, 30.0, 100.0, 55.0]
