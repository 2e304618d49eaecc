"""What a fault does to a reply, and whom it concerns."""

import random

import pytest

from simulators.equipment import Place
from simulators.faults import FaultKind, spoil

REPLY = b"\x03\x04\x00\x01\x00\x02"


def spoiled(kind: FaultKind, reply: bytes = REPLY) -> bytes:
    return spoil(kind, 7, 1, reply, random.Random(1))


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        (FaultKind.SLOW, "00070000000701030400010002"),
        (FaultKind.WRONG_FUNCTION, "00070000000701040400010002"),
        (FaultKind.WRONG_UNIT, "00070000000702030400010002"),
        (FaultKind.WRONG_TRANSACTION, "555c0000000701030400010002"),
        (FaultKind.SHORT_REPLY, "00070000000401030400"),
        (FaultKind.EXCEPTION, "000700000003018304"),
    ],
)
def test_each_fault_spoils_one_thing_of_the_frame(kind: FaultKind, frame: str) -> None:
    assert spoiled(kind).hex() == frame


def test_garbage_is_never_the_same() -> None:
    chance = random.Random(1)
    assert len({spoil(FaultKind.GARBAGE, 7, 1, REPLY, chance) for _ in range(20)}) == 20


@pytest.mark.parametrize("function", range(1, 256))
def test_a_wrong_function_is_another_one_and_no_refusal(function: int) -> None:
    found = spoiled(FaultKind.WRONG_FUNCTION, bytes((function, 0)))[7]
    assert found != function
    assert 1 <= found <= 0x7F


def test_a_window_is_concerned_by_requests_that_touch_it() -> None:
    place = Place(1, 200, 200, whole=False)
    assert place.holds((399, 1))
    assert place.holds((150, 51))
    assert not place.holds((150, 50))
    assert not place.holds((400, 10))
    assert not place.holds(None)


def test_a_device_with_a_unit_of_its_own_is_concerned_by_whatever_the_unit_is_asked() -> None:
    place = Place(1, 0, 200, whole=True)
    assert place.holds(None)
    assert place.holds((5000, 1))
