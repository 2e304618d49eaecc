"""A count at one instant, made from what is known of every device of the frame. Pure.

official: connected, of origin real, energy-consuming. rehearsal: the same whatever the origin, always marked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from muster.device import DeviceClass, Origin
from muster.presence import State

Scope = Literal["official", "rehearsal"]
SCOPES: tuple[Scope, ...] = ("official", "rehearsal")


@dataclass(frozen=True, slots=True)
class DeviceAt:
    """One device of the frame at an instant, as known at another.

    origin: the most pessimistic of what ledger and device say. reason: a catalogue key, why it is in `state`.
    since: from when on it was in that state; None when nobody can say.
    """

    device: int
    code: str
    name: str
    enterprise: str
    industry: str
    device_class: str
    consumes_energy: bool
    protocol: str
    origin: Origin
    state: State
    reason: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A device that is not counted; `reasons` are catalogue keys, the decisive one first."""

    device: DeviceAt
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """A count in one scope. `by_state` covers the frame, the other tables add up to `connected`."""

    scope: Scope
    connected: int
    by_state: Mapping[str, int]
    by_protocol: Mapping[str, int]
    by_variant: Mapping[str, int]
    by_class: Mapping[str, int]
    by_enterprise: Mapping[str, int]
    by_industry: Mapping[str, int]
    by_origin: Mapping[str, int]
    excluded: Sequence[Exclusion]

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
    against: list[str] = []
    if not device.consumes_energy:
        against.append("excluded.not-energy-consuming")
    if device.state != State.CONNECTED:
        against.append(f"excluded.{device.state.word}")
    if scope == "official" and device.origin != Origin.REAL:
        against.append(f"excluded.origin-{device.origin}")
    return tuple(against)


def count(devices: Iterable[DeviceAt], scope: Scope, families: Mapping[str, str]) -> Count:
    """Count `devices` in `scope`; `families` gives each protocol's family (its own name where unknown)."""
    by_state = Counter({state.word: 0 for state in State})
    by_class = Counter({each.value: 0 for each in DeviceClass})
    by_origin = Counter({each.value: 0 for each in Origin})
    by_protocol: Counter[str] = Counter()
    by_variant: Counter[str] = Counter()
    by_enterprise: Counter[str] = Counter()
    by_industry: Counter[str] = Counter()
    excluded: list[Exclusion] = []
    for device in devices:
        by_state[device.state.word] += 1
        if against := reasons(device, scope):
            excluded.append(Exclusion(device, against))
            continue
        by_class[device.device_class] += 1
        by_origin[device.origin] += 1
        by_protocol[families.get(device.protocol, device.protocol)] += 1
        by_variant[device.protocol] += 1
        by_enterprise[device.enterprise] += 1
        by_industry[device.industry] += 1
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
        excluded,
    )


def frame(devices: Iterable[DeviceAt]) -> Frame:
    """Return the size of the frame and its totals by origin."""
    registered = Counter({each.value: 0 for each in Origin})
    connected = Counter({each.value: 0 for each in Origin})
    for device in devices:
        registered[device.origin] += 1
        connected[device.origin] += device.state == State.CONNECTED
    return Frame(sum(registered.values()), registered, connected)
