"""What all rooms check of a write."""

import pytest
from msgspec.structs import replace

from gateway.checks import check_positions, raw_to_write, writable
from muster.device import MOST_POSITIONS, Tag
from muster.errors import ConfigError, RequestError

SETPOINT = Tag(
    name="setpoint",
    position=3,
    type="float64",
    address={},
    scale=0.5,
    offset=10.0,
    low=0.0,
    high=100.0,
    writable=True,
)
SPEED = replace(SETPOINT, name="speed", position=4, writable=False)
START = replace(SETPOINT, name="start", type="bool", scale=1.0, offset=0.0)


@pytest.mark.parametrize(
    ("tag", "value", "raw"), [(SETPOINT, 20.0, 20.0), (SETPOINT, "20", 20.0), (START, 1, 1)]
)
def test_a_value_is_written_without_its_scale(tag: Tag, value: float | str, raw: float) -> None:
    assert raw_to_write(tag, value) == raw


@pytest.mark.parametrize(
    ("tag", "value", "code"),
    [
        (SETPOINT, "fast", "wrong-type"),
        (SETPOINT, -0.1, "outside-limits"),
        (SETPOINT, 100.1, "outside-limits"),
        (SETPOINT, float("inf"), "outside-limits"),
        (SETPOINT, float("nan"), "wrong-type"),
        (replace(SETPOINT, low=None, high=None, scale=1e-9), 1e300, "wrong-type"),
        (START, 0.5, "wrong-type"),
    ],
)
def test_a_value_that_the_tag_cannot_hold_is_refused(tag: Tag, value: float | str, code: str) -> None:
    with pytest.raises(RequestError, match=tag.name) as refused:
        raw_to_write(tag, value)
    assert refused.value.code == code


def test_only_a_writable_tag_of_the_device_is_written() -> None:
    assert writable([SPEED, SETPOINT], 3) is SETPOINT
    for position, code in ((4, "not-writable"), (9, "unknown-tag")):
        with pytest.raises(RequestError) as refused:
            writable([SPEED, SETPOINT], position)
        assert refused.value.code == code


def test_a_position_beyond_the_highest_is_refused_by_its_number() -> None:
    check_positions([replace(SPEED, position=MOST_POSITIONS)])
    for position in (0, MOST_POSITIONS + 1):
        with pytest.raises(ConfigError, match="at most 32767"):
            check_positions([replace(SPEED, position=position)])
