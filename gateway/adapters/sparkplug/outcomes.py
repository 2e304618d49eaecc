"""What a host application makes of a message: the words between an edge node, its crew and their stations. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from muster.sparkplug import DataType, Metric, Numbers, Payload

Said = Payload | Numbers
"""A message's content, read either way."""
Scope = str | None
"""A device's name, or None for the edge node itself."""


class Reading(msgspec.Struct, gc=False):
    """One metric's value by its datatype; `metric` is as it came, `name` as its birth named it."""

    name: str
    datatype: DataType
    value: Any
    metric: Metric


@dataclass(frozen=True, slots=True)
class Up:
    """A node or device was born, or is known to live on: its session is up."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Down:
    """A node or device died, for `reason`."""

    scope: Scope
    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A valid message came that need not hold any value."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Born:
    """A birth came; `metrics` are all that the node or device has, by name."""

    scope: Scope
    metrics: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class Values:
    """Values came; live: from a DATA message. sent_ms: the payload's own time."""

    scope: Scope
    readings: list[Reading]
    sent_ms: int | None
    live: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """Live values came, read at once: numbers of one time; with them goes no `Alive`.

    names: of each, one tuple for all messages of a form.
    """

    scope: Scope
    names: tuple[str, ...]
    numbers: Numbers

    def readings(self) -> list[Reading]:
        """Return them as they stand in `Values`."""
        parts = zip(self.names, self.numbers.form.carriers, self.numbers.metrics, strict=True)
        return [Reading(name, datatype, metric.value, metric) for name, datatype, metric in parts]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong with a message."""

    scope: Scope
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missed:
    """Messages of the node, or of its devices, were lost between two instants, in µs."""

    since: int
    until: int
    messages: int


@dataclass(frozen=True, slots=True)
class ClockOff:
    """The node's clock less ours was measured anew."""

    offset_us: int
    accuracy_us: int


Outcome = Up | Down | Alive | Born | Values | Measured | Trouble | Missed | ClockOff
