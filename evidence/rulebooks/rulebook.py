"""A programme's guideline as data: its tiers, its classes, the definition of presence it is measured by.

Labels keep the wording of the source; a rulebook adds no judgement of its own except where it says so.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evidence.counting.timeline import DaysRule
from muster.device import DeviceClass
from muster.errors import ConfigError
from muster.presence import Definition

DEFINITIONS: Mapping[str, Definition] = MappingProxyType({Definition().version: Definition()})
"""Every definition of presence that a rulebook may name."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Strict):
    """One tier of platform. section, text: where and how the source asks for `devices` connected devices."""

    id: str
    label: str
    short: str
    section: str
    text: str
    devices: int = Field(gt=0)


class ClassLabel(_Strict):
    """A class of industrial device in the source's words."""

    id: DeviceClass
    label: str


class Days(_Strict):
    """The rule of lasting connection, see `DaysRule`. It is Muster's, not the source's."""

    minutes: int = Field(ge=1, le=1440)
    least: int = Field(ge=1)
    of_days: int = Field(ge=1, le=92)


class Rulebook(_Strict):
    """One programme."""

    id: str
    title: str
    source: str
    definition: str
    time_zone: str
    device: str = Field(description="What the source calls an industrial device.")
    days: Days
    tiers: tuple[Tier, ...] = Field(min_length=1)
    classes: tuple[ClassLabel, ...]

    @field_validator("definition")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DEFINITIONS:
            raise ValueError(f"no definition of presence is called {name!r}")
        return name

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {name!r}") from error
        return name

    @property
    def presence(self) -> Definition:
        """The definition of presence that it names."""
        return DEFINITIONS[self.definition]

    @property
    def days_rule(self) -> DaysRule:
        """The rule of lasting connection, in its time zone."""
        return DaysRule(self.days.minutes, self.days.least, self.days.of_days, self.time_zone)


def parse(text: str, name: str) -> Rulebook:
    """Return the rulebook in the TOML `text` of the file `name`.

    Raises:
        ConfigError: it is not TOML, or a key is unknown, missing or of the wrong kind.
    """
    try:
        return Rulebook.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"rulebook {name}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"rulebook {name}: {where}: {first['msg']}") from error


@cache
def rulebooks() -> Mapping[str, Rulebook]:
    """Return every programme of this installation, by id, in the order of the files' names."""
    files = sorted(
        (file for file in resources.files("evidence.rulebooks").iterdir() if file.name.endswith(".toml")),
        key=lambda file: file.name,
    )
    found = [parse(file.read_text("utf-8"), file.name) for file in files]
    return MappingProxyType({rulebook.id: rulebook for rulebook in found})
