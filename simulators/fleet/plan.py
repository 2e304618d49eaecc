"""Who is where: a fleet of any size, the same for the same seed, and the beginning of every larger one.

Device n belongs to enterprise n mod 12 and fills its areas one after another. One area is one endpoint. Areas
alternate in how their machines are reached: each by a unit of its own, all as register windows of one unit,
or both; so a demo shows every case in which several devices share one address.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from simulators.fleet.enterprises import ENTERPRISES, MACHINES_PER_AREA, Area, Enterprise, spoken
from simulators.machines.kinds import KINDS
from simulators.machines.points import Kind

WINDOW_LENGTH = 200
"""Registers, and bits, of one machine."""
IDLE_SHARE = 0.06
_OWN_UNITS, _WINDOWS, _MIXED = range(3)
_LAYOUTS = (_OWN_UNITS, _WINDOWS, _OWN_UNITS, _MIXED, _OWN_UNITS)
_WINDOWS_WHEN_MIXED = 4


@dataclass(frozen=True, slots=True)
class Station:
    """One simulated device and its place.

    index: from 0; endpoint: index of its endpoint; window: first register of its window, None when the unit
    is its own; idle: it stands still until somebody starts it.
    """

    index: int
    code: str
    name: str
    kind: Kind
    enterprise: Enterprise
    area: Area
    endpoint: int
    unit: int
    window: int | None
    manufacturer: str
    serial_number: str
    idle: bool

    @property
    def site(self) -> str:
        """The code of its site."""
        phase = self.endpoint // len(ENTERPRISES) // len(self.enterprise.areas)
        return self.area.code if phase == 0 else f"{self.area.code}-{phase + 1}"

    @property
    def site_name(self) -> str:
        """The name of its site; a large fleet builds its areas anew as further phases (二期, …)."""
        phase = self.endpoint // len(ENTERPRISES) // len(self.enterprise.areas)
        return self.area.name if phase == 0 else f"{self.area.name}（{phase + 1}期）"


def lay_out(devices: int, seed: int) -> list[Station]:
    """Return the stations of a fleet of `devices`, in order of their index."""
    numbers: Counter[str] = Counter()
    names: Counter[tuple[str, str]] = Counter()
    stations = []
    for index in range(devices):
        place, tenant = divmod(index, len(ENTERPRISES))
        layer, seat = divmod(place, MACHINES_PER_AREA)
        enterprise = ENTERPRISES[tenant]
        area = enterprise.areas[layer % len(enterprise.areas)]
        kind = KINDS[area.kinds[seat]]
        numbers[kind.code] += 1
        names[enterprise.code, kind.code] += 1
        code = f"{kind.prefix}-{numbers[kind.code]:03d}"
        unit, window = _address(_LAYOUTS[layer % len(_LAYOUTS)], seat)
        chance = np.random.default_rng((seed, index))
        stations.append(
            Station(
                index=index,
                code=code,
                name=f"{names[enterprise.code, kind.code]}号{kind.name}",
                kind=kind,
                enterprise=enterprise,
                area=area,
                endpoint=layer * len(ENTERPRISES) + tenant,
                unit=unit,
                window=window,
                manufacturer=kind.makers[int(chance.integers(len(kind.makers)))],
                serial_number=f"SIM{seed}-{code}",
                idle=bool(kind.settings) and bool(chance.random() < IDLE_SHARE),
            )
        )
    return stations


def endpoint_count(devices: int) -> int:
    """Return how many endpoints, and so ports, a fleet needs."""
    return max((station.endpoint for station in lay_out(devices, 0)), default=-1) + 1


def encrypted_endpoints(devices: int, protocols: Collection[str]) -> list[int]:
    """Return the endpoints whose OPC UA server accepts only signed and encrypted sessions."""
    stations = (one for one in lay_out(devices, 0) if spoken(one.area, protocols) == "opcua")
    return sorted({station.endpoint for station in stations if station.area.encrypted})


def _address(layout: int, seat: int) -> tuple[int, int | None]:
    if layout == _OWN_UNITS:
        return seat + 1, None
    if layout == _WINDOWS or seat < _WINDOWS_WHEN_MIXED:
        return 1, seat * WINDOW_LENGTH
    return seat - _WINDOWS_WHEN_MIXED + 2, None
