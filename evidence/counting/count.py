"""A count at one instant, made from what is known of every device of the frame. Pure.

official: connected, of origin real, energy-consuming. rehearsal: the same whatever the origin, always marked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Literal, NamedTuple

from muster.device import DeviceClass, Origin
from muster.presence import State

Scope = Literal["official", "rehearsal"]
SCOPES: tuple[Scope, ...] = ("official", "rehearsal")


class DeviceAt(NamedTuple):
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


_kind = attrgetter("enterprise", "industry", "device_class", "protocol", "consumes_energy", "origin", "state")


class Exclusion(NamedTuple):
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


def count(devices: Sequence[DeviceAt], scope: Scope, families: Mapping[str, str]) -> Count:
    """Count `devices` in `scope`; `families` gives each protocol's family (its own name where unknown)."""
    by_state = Counter({state.word: 0 for state in State})
    by_class = Counter({each.value: 0 for each in DeviceClass})
    by_origin = Counter({each.value: 0 for each in Origin})
    by_protocol: Counter[str] = Counter()
    by_variant: Counter[str] = Counter()
    by_enterprise: Counter[str] = Counter()
    by_industry: Counter[str] = Counter()
    kinds = Counter(map(_kind, devices))
    for (enterprise, industry, device_class, protocol, energy, origin, state), number in kinds.items():
        by_state[state.word] += number
        if _against(energy, state, origin, scope):
            continue
        by_class[device_class] += number
        by_origin[origin] += number
        by_protocol[families.get(protocol, protocol)] += number
        by_variant[protocol] += number
        by_enterprise[enterprise] += number
        by_industry[industry] += number
    excluded = [Exclusion(device, against) for device in devices if (against := reasons(device, scope))]
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
    for (origin, state), number in Counter(map(attrgetter("origin", "state"), devices)).items():
        registered[origin] += number
        connected[origin] += number if state == State.CONNECTED else 0
    return Frame(sum(registered.values()), registered, connected)
