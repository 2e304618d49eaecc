"""From what JSON holds to a tag's value: strict, so that garbage gives a quality and never a number."""

import math
import re
from typing import Any

from muster.quality import Quality
from muster.scans import NULL

INTEGERS: dict[str, tuple[int, int]] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
FLOATS = {"float32": 3.4028235677973366e38, "float64": math.inf}
TYPES = frozenset({*INTEGERS, *FLOATS, "bool", "string"})
EXACT = 2**53
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_WORDS = {"true": 1.0, "false": 0.0, "on": 1.0, "off": 0.0, "1": 1.0, "0": 0.0}
_LONGEST_TEXT = 65_536

Converted = tuple[float, int, str | None]
"""The value as a float64, its quality, and the text where a float64 cannot hold it."""


def _bad(quality: Quality) -> Converted:
    return NULL, int(quality), None


def convert(value: Any, kind: str) -> Converted:
    """Return what a JSON value is as a tag of type `kind`."""
    if value is None:
        return _bad(Quality.NO_VALUE)
    if kind == "string":
        return _text(value)
    if kind == "bool":
        return _bool(value)
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            return _bad(Quality.UNDECODABLE)
        text = value.strip()
        value = int(text) if text.lstrip("-").isdigit() else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _bad(Quality.UNDECODABLE)
    return _integer(value, kind) if kind in INTEGERS else _float(value, kind)


def _text(value: Any) -> Converted:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        return _bad(Quality.UNDECODABLE)
    text = str(value)
    if len(text) > _LONGEST_TEXT or "\0" in text:
        return _bad(Quality.UNDECODABLE)
    return NULL, int(Quality.GOOD), text


def _bool(value: Any) -> Converted:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower())
    if isinstance(value, bool | int | float) and value in (0, 1):
        return float(value), int(Quality.GOOD), None
    return _bad(Quality.UNDECODABLE)


def _integer(value: float, kind: str) -> Converted:
    if isinstance(value, float):
        if not math.isfinite(value) or not value.is_integer():
            return _bad(Quality.UNDECODABLE)
        value = int(value)
    low, high = INTEGERS[kind]
    if not low <= value <= high:
        return _bad(Quality.OUT_OF_RANGE)
    if abs(value) > EXACT:
        return NULL, int(Quality.GOOD), str(value)
    return float(value), int(Quality.GOOD), None


def _float(value: float, kind: str) -> Converted:
    try:
        number = float(value)
    except OverflowError:
        return _bad(Quality.OUT_OF_RANGE)
    if not math.isfinite(number) or abs(number) > FLOATS[kind]:
        return _bad(Quality.OUT_OF_RANGE)
    return number, int(Quality.GOOD), None
