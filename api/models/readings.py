"""Readings of a device: the latest of every tag, raw ones and roll-ups over time."""

from typing import Any

from pydantic import Field

from api.models.base import Answer, Moment, example
from api.models.words import Resolution

_LATEST: dict[str, Any] = {
    "position": 1,
    "tag": "speed",
    "label": "转速",
    "unit": "r/min",
    "value": 1480.5,
    "quality": 0,
    "time": "2026-11-23T07:59:59.500Z",
    "received": "2026-11-23T07:59:59.503Z",
    "age_s": 0.497,
}


class LatestReading(Answer):
    """The newest reading of one tag; value and times are null when none was ever stored."""

    model_config = example(_LATEST)
    position: int
    tag: str
    label: str
    unit: str
    value: float | str | None
    quality: int | None = Field(description="0 is Good.")
    time: Moment | None
    received: Moment | None
    age_s: float | None = Field(description="Seconds since it was received.")


class LatestAnswer(Answer):
    """The newest reading of every tag of a device."""

    model_config = example({"device": 17, "at": "2026-11-23T08:00:00Z", "readings": [_LATEST]})
    device: int
    at: Moment
    readings: list[LatestReading]


class ReadingPage(Answer):
    """Readings of one tag in ascending source time, as columns of equal length.

    raw: `value`, `quality` and `received` are filled; a value is text where the tag's readings are, and null where
    the device gave none. minute, hour: `count`, `good`, `min`, `max`, `mean` and `last` are filled, the last four
    over the Good readings. A number that JSON cannot hold is `NaN`, `Infinity` or `-Infinity`.
    """

    model_config = example(
        {
            "device": 17,
            "tag": "speed",
            "unit": "r/min",
            "resolution": "raw",
            "from_time": "2026-11-23T07:59:58Z",
            "to_time": "2026-11-23T08:00:00Z",
            "time": ["2026-11-23T07:59:58.500Z", "2026-11-23T07:59:59.500Z"],
            "received": ["2026-11-23T07:59:58.503Z", "2026-11-23T07:59:59.503Z"],
            "value": [1480.25, 1480.5],
            "quality": [0, 0],
            "count": None,
            "good": None,
            "min": None,
            "max": None,
            "mean": None,
            "last": None,
            "next": None,
        }
    )
    device: int
    tag: str
    unit: str
    resolution: Resolution
    from_time: Moment
    to_time: Moment
    time: list[Moment]
    received: list[Moment] | None = None
    value: list[float | str | None] | None = None
    quality: list[int] | None = None
    count: list[int] | None = None
    good: list[int] | None = None
    min: list[float | str | None] | None = None
    max: list[float | str | None] | None = None
    mean: list[float | str | None] | None = None
    last: list[float | str | None] | None = None
    next: str | None
