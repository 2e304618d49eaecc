"""A count at one instant, made from what is known of every device of the frame. Pure.

official: connected, of origin real, energy-consuming. rehearsal: the same whatever the origin, always marked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, overload

import numpy as np

from evidence.counting.devices import DeviceAt, Devices
from muster.device import DeviceClass, Origin
from muster.presence import State

Scope = Literal["official", "rehearsal"]
SCOPES: tuple[Scope, ...] = ("official", "rehearsal")


class Exclusion(NamedTuple):
    """A device that is not counted; `reasons` are catalogue keys, the decisive one first."""

    device: DeviceAt
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Excluded(Sequence[Exclusion]):
    """The devices that are not counted, by number."""

    devices: Devices
    reasons: Sequence[tuple[str, ...]]
    """Of each of the devices' kinds."""

    def __len__(self) -> int:
        return len(self.devices)

    @overload
    def __getitem__(self, index: int) -> Exclusion: ...
    @overload
    def __getitem__(self, index: slice) -> "Excluded": ...
    def __getitem__(self, index: int | slice) -> "Exclusion | Excluded":
        if isinstance(index, slice):
            return Excluded(self.devices[index], self.reasons)
        return Exclusion(self.devices[index], self.reasons[self.devices.kind[index]])

    def after(self, device: int) -> "Excluded":
        """Return those whose number is above `device`."""
        return Excluded(self.devices.at(self.devices.device > device), self.reasons)


@dataclass(frozen=True, slots=True)
class Count:
    """A count in one scope. `by_state` covers the frame, the next six tables add up to `connected`.

    by_reason: how many are not counted, by their decisive reason.
    """

    scope: Scope
    connected: int
    by_state: Mapping[str, int]
    by_protocol: Mapping[str, int]
    by_variant: Mapping[str, int]
    by_class: Mapping[str, int]
    by_enterprise: Mapping[str, int]
    by_industry: Mapping[str, int]
    by_origin: Mapping[str, int]
    by_reason: Mapping[str, int]
    excluded: Excluded

    @property
    def marked(self) -> bool:
        """Whether it must be marked as a rehearsal wherever it is shown."""
        return self.scope == "rehearsal"


@dataclass(frozen=True, slots=True)
class Frame:
    """The devices a count is about; totals by origin, asserted and connected, whatever the scope."""

    devices: int
    by_origin: Mapping[str, int]
    connected_by_origin: Mapping[str, int]


def reasons(device: DeviceAt, scope: Scope) -> tuple[str, ...]:
    """Return why the device is not counted in `scope`, the decisive reason first; empty when it counts."""
    return _against(device.consumes_energy, device.state, device.origin, scope)


@cache
def _against(consumes_energy: bool, state: State, origin: Origin, scope: Scope) -> tuple[str, ...]:
    found: list[str] = []
    if not consumes_energy:
        found.append("excluded.not-energy-consuming")
    if state != State.CONNECTED:
        found.append(f"excluded.{state.word}")
    if scope == "official" and origin != Origin.REAL:
        found.append(f"excluded.origin-{origin}")
    return tuple(found)


def count(devices: Iterable[DeviceAt], scope: Scope, families: Mapping[str, str]) -> Count:
    """Count `devices` in `scope`; `families` gives each protocol's family (its own name where unknown)."""
    columns = Devices.of(devices)
    by_state = Counter({state.word: 0 for state in State})
    by_class = Counter({each.value: 0 for each in DeviceClass})
    by_origin = Counter({each.value: 0 for each in Origin})
    by_protocol: Counter[str] = Counter()
    by_variant: Counter[str] = Counter()
    by_enterprise: Counter[str] = Counter()
    by_industry: Counter[str] = Counter()
    by_reason: Counter[str] = Counter()
    for kind, number in columns.of_kind:
        by_state[kind.state.word] += number
        if against := _against(kind.consumes_energy, kind.state, kind.origin, scope):
            by_reason[against[0]] += number
            continue
        by_class[kind.device_class] += number
        by_origin[kind.origin] += number
        by_protocol[families.get(kind.protocol, kind.protocol)] += number
        by_variant[kind.protocol] += number
        by_enterprise[kind.enterprise] += number
        by_industry[kind.industry] += number
    against_kind = [_against(kind.consumes_energy, kind.state, kind.origin, scope) for kind in columns.kinds]
    left_out = np.array([bool(against) for against in against_kind], np.bool_)
    return Count(
        scope,
        sum(by_class.values()),
        by_state,
        by_protocol,
        by_variant,
        by_class,
        by_enterprise,
        by_industry,
        by_origin,
        by_reason,
        Excluded(columns.at(left_out[columns.kind]), against_kind),
    )


def frame(devices: Iterable[DeviceAt]) -> Frame:
    """Return the size of the frame and its totals by origin."""
    columns = Devices.of(devices)
    registered = Counter({each.value: 0 for each in Origin})
    connected = Counter({each.value: 0 for each in Origin})
    for kind, number in columns.of_kind:
        registered[kind.origin] += number
        connected[kind.origin] += number if kind.state == State.CONNECTED else 0
    return Frame(len(columns), registered, connected)
