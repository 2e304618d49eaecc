"""What every room checks of a document and of a write, in the same words. Pure; a ConfigError names the field."""

import math
from collections.abc import Collection, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from muster.device import MOST_POSITIONS, Tag
from muster.errors import ConfigError, RequestError

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], document: object, where: str) -> M:
    """Return a part of a document as its model; `where`: its field."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join([where, *(str(part) for part in first["loc"])])
        raise ConfigError(f"{field}: {first['msg']}") from error


def check_positions(tags: Sequence[Tag]) -> None:
    """Check that a device's tags have positions that a scan can have, none twice. `tags` holds at least one."""
    positions = {tag.position for tag in tags}
    if min(positions) < 1 or max(positions) > MOST_POSITIONS or len(positions) != len(tags):
        raise ConfigError(f"tags: positions count from 1 to at most {MOST_POSITIONS} and are each used once")


def check_type(tag: Tag, types: Collection[str], where: str) -> None:
    """Check that a tag's type is one that its room decodes."""
    if tag.type not in types:
        raise ConfigError(f"{where}.type: {tag.type} is none of {', '.join(sorted(types))}")


def check_numbers(tag: Tag, unscaled: Collection[str], where: str) -> None:
    """Check a tag's scale, offset and limits; `unscaled`: types that have neither scale nor offset."""
    if not math.isfinite(tag.scale) or tag.scale == 0 or not math.isfinite(tag.offset):
        raise ConfigError(f"{where}.scale: scale and offset are finite, and scale is not 0")
    if tag.type in unscaled and (tag.scale != 1 or tag.offset != 0):
        raise ConfigError(f"{where}.scale: a {tag.type} has no scale or offset")
    if tag.low is not None and tag.high is not None and tag.low > tag.high:
        raise ConfigError(f"{where}.low: is above high")


def writable(tags: Sequence[Tag], position: int) -> Tag:
    """Return the tag at `position`. Raises RequestError when there is none, or it must not be written."""
    tag = next((one for one in tags if one.position == position), None)
    if tag is None:
        raise RequestError(f"tag position {position}: not of this device", status=404, code="unknown-tag")
    if not tag.writable:
        raise RequestError(f"{tag.name}: is not writable", status=403, code="not-writable")
    return tag


def raw_to_write(tag: Tag, value: float | str) -> float:
    """Return an engineering value without its scale. Raises RequestError for no number, or one outside the limits."""
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError as error:
        raise RequestError(f"{tag.name}: takes a number, not {value!r}", code="wrong-type") from error
    if (tag.low is not None and number < tag.low) or (tag.high is not None and number > tag.high):
        raise RequestError(f"{tag.name}: {value} is outside its limits", code="outside-limits")
    if tag.type == "bool" and number not in (0, 1):
        raise RequestError(f"{tag.name}: takes 0 or 1, not {value}", code="wrong-type")
    raw = (number - tag.offset) / tag.scale
    if not math.isfinite(raw):
        raise RequestError(f"{tag.name}: {value} is not finite", code="wrong-type")
    return raw
