"""What all machines share: time, chance, lags, wear, motors, shifts and batch phases, as vectors.

Units are SI with the usual engineering exceptions, named in the variables: kW, °C, A, mm/s, MPa, r/min, h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

ON_SHIFT_HOURS = (6.0, 22.0)
"""Two-shift plants work from six to ten in the evening, local time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of all machines.

    dt_s: its length; hour: local hour of the day, 0 to 24; feeder_kw: (meters,) what each meter's feeder carries.
    """

    dt_s: float
    hour: float
    feeder_kw: Values | None = None


class Machines:
    """All machines of one kind. A machine that is not running draws no chance, so its values are constant.

    power_kw: (n,) electrical power now, which the plant's meters see.
    """

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        self.n = n
        self.chance = chance
        self.power_kw = np.zeros(n)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        """Move on by one step under the (n,) settings and return (n,) values, by point name."""
        raise NotImplementedError

    def spread(self, low: float, high: float) -> Values:
        """Return (n,) constants of nature that differ from machine to machine."""
        return self.chance.uniform(low, high, self.n)

    def noise(self, sigma: float) -> Values:
        """Return (n,) measurement noise."""
        return sigma * self.chance.standard_normal(self.n)

    def wander(self, state: Values, mean: float | Values, tau_s: float, sigma: float, dt_s: float) -> None:
        """Move `state` as an Ornstein-Uhlenbeck process with this stationary deviation, in place."""
        keep = np.exp(-dt_s / tau_s)
        state += (mean - state) * (1.0 - keep)
        state += sigma * np.sqrt(1.0 - keep * keep) * self.chance.standard_normal(self.n)


def lag(state: Values, target: float | NDArray[np.floating[Any]], tau_s: float | Values, dt_s: float) -> None:
    """Let `state` follow `target` as a first-order system with this time constant, in place."""
    state += (target - state) * (1.0 - np.exp(-dt_s / tau_s))


def motor_current_a(power_kw: Values, rated_kw: Values, volt: float = 400.0) -> Values:
    """Return the current of induction motors: that of the load, and the magnetising one beside it."""
    full = rated_kw * 1000.0 / (np.sqrt(3.0) * volt * 0.86)
    load = np.clip(power_kw / rated_kw, 0.0, 1.5)
    current: Values = full * np.sqrt(0.09 + 0.91 * load * load)
    return np.where(power_kw > 0.0, current, 0.0)


class Wear:
    """Wear of bearings: 0 new, 1 to be changed; grows with running time over about a year, then is mended."""

    def __init__(self, machines: Machines) -> None:
        self.level = machines.spread(0.02, 0.85) ** 2
        self._life_s = machines.spread(200.0, 500.0) * 86400.0
        self.hours = np.floor(machines.spread(300.0, 42000.0))

    def run(self, running: Flags, dt_s: float) -> None:
        """Let the running machines age."""
        self.level += np.where(running, dt_s / self._life_s, 0.0)
        self.level[self.level > 1.0] = 0.02
        self.hours += np.where(running, dt_s / 3600.0, 0.0)


class Shift:
    """When people work: two-shift machines stop at night, with small stops while the shift is on."""

    def __init__(self, machines: Machines, continuous_share: float) -> None:
        self._machines = machines
        self._continuous = machines.chance.random(machines.n) < continuous_share
        self._late_h = machines.spread(-0.5, 0.5)
        self._stopped_s = np.zeros(machines.n)

    def on(self, moment: Moment) -> Flags:
        """Return (n,) bool: who works now."""
        hour = moment.hour + self._late_h
        present = (hour >= ON_SHIFT_HOURS[0]) & (hour < ON_SHIFT_HOURS[1]) | self._continuous
        stops = self._machines.chance.random(self._machines.n) < moment.dt_s / 2400.0
        lasting = self._machines.spread(20.0, 240.0)
        self._stopped_s = np.maximum(self._stopped_s - moment.dt_s, 0.0)
        self._stopped_s = np.where(stops & (self._stopped_s == 0.0), lasting, self._stopped_s)
        on: Flags = present & (self._stopped_s == 0.0)
        return on


class Batch:
    """Phases that follow one another and begin anew: where every machine is in its batch."""

    def __init__(self, machines: Machines, minutes: tuple[float, ...]) -> None:
        pace = machines.spread(0.85, 1.2)
        self._length_s = np.outer(pace, np.array(minutes) * 60.0)
        self.phase = machines.chance.integers(0, len(minutes), machines.n)
        self._rows = np.arange(machines.n)
        self.elapsed_s = machines.chance.random(machines.n) * self._length_s[self._rows, self.phase]
        self.count = np.floor(machines.spread(20.0, 4000.0))

    def advance(self, running: Flags, dt_s: float) -> Flags:
        """Let the running batches go on; return (n,) bool: who has just begun a new one."""
        self.elapsed_s += np.where(running, dt_s, 0.0)
        length = self._length_s[self._rows, self.phase]
        over = self.elapsed_s >= length
        self.elapsed_s = np.where(over, 0.0, self.elapsed_s)
        self.phase = np.where(over, (self.phase + 1) % self._length_s.shape[1], self.phase)
        begun: Flags = over & (self.phase == 0)
        self.count += begun
        return begun

    @property
    def progress(self) -> Values:
        """How much of the present phase is done, 0 to 1."""
        share: Values = self.elapsed_s / self._length_s[self._rows, self.phase]
        return np.minimum(share, 1.0)

    def by_phase(self, *values: float) -> Values:
        """Return (n,) the value that belongs to each machine's phase."""
        return np.array(values, np.float64)[self.phase]
