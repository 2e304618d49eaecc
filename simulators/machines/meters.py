"""Electricity meters: stand-alone instruments that see what the machines of their enterprise draw."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Machines, Moment, Values
from simulators.machines.points import Kind, Point


class Meters(Machines):
    """Three-phase meters on low-voltage feeders; all share one grid, so one frequency."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._volt = chance.uniform(226.0, 236.0, (3, n))
        self._unbalance = chance.uniform(0.94, 1.06, (3, n))
        self._unbalance *= 3.0 / self._unbalance.sum(axis=0)
        self._lighting_kw = self.spread(4.0, 18.0)
        self._lag = self.spread(0.32, 0.62)  # reactive to active power
        self._energy_kwh = self.spread(1e4, 5e6)
        self._hertz = np.full(1, 50.0)
        self._load = np.ones(n)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        carried = moment.feeder_kw if moment.feeder_kw is not None else np.zeros(self.n)
        self.wander(self._load, 1.0, 30.0, 0.02, moment.dt_s)
        power = (self._lighting_kw + carried) * self._load
        keep = np.exp(-moment.dt_s / 60.0)
        sag = 231.0 - 0.004 * np.minimum(power, 1500.0)
        self._volt += (1 - keep) * (sag - self._volt)
        self._volt += np.sqrt(1 - keep * keep) * self.chance.normal(0.0, 0.8, (3, self.n))
        self._hertz += (1 - keep) * (50.0 - self._hertz) + np.sqrt(1 - keep * keep) * self.chance.normal(
            0.0, 0.015
        )
        reactive = power * self._lag
        factor = power / np.hypot(power, reactive)
        amps = power / 3.0 * self._unbalance * 1000.0 / (self._volt * factor)
        self._energy_kwh += power * moment.dt_s / 3600.0
        return {
            "voltage_a": self._volt[0],
            "voltage_b": self._volt[1],
            "voltage_c": self._volt[2],
            "current_a": amps[0],
            "current_b": amps[1],
            "current_c": amps[2],
            "active_power": power,
            "reactive_power": reactive,
            "power_factor": factor,
            "frequency": np.repeat(self._hertz, self.n),
            "active_energy": self._energy_kwh,
        }


METER = Kind(
    code="sim-meter",
    prefix="EM",
    name="多功能电力仪表",
    english="Multifunction electricity meter",
    device_class="other",
    equipment="intelligent",
    create=Meters,
    makers=("安测仪表", "正衡电气"),
    points=(
        Point("voltage_a", "A相电压", "uint16", "holding", 0, "V", scale=0.1, low=0, high=500),
        Point("voltage_b", "B相电压", "uint16", "holding", 1, "V", scale=0.1, low=0, high=500),
        Point("voltage_c", "C相电压", "uint16", "holding", 2, "V", scale=0.1, low=0, high=500),
        Point("current_a", "A相电流", "uint32", "holding", 4, "A", scale=0.001, low=0),
        Point("current_b", "B相电流", "uint32", "holding", 6, "A", scale=0.001, low=0),
        Point("current_c", "C相电流", "uint32", "holding", 8, "A", scale=0.001, low=0),
        Point("active_power", "有功功率", "int32", "holding", 10, "kW", scale=0.001),
        Point("reactive_power", "无功功率", "int32", "holding", 12, "kvar", scale=0.001),
        Point("power_factor", "功率因数", "int16", "holding", 14, scale=0.0001, low=-1, high=1),
        Point("frequency", "频率", "uint16", "holding", 15, "Hz", scale=0.01, low=45, high=55),
        Point("active_energy", "正向有功电能", "uint64", "holding", 20, "kWh", scale=0.001),
    ),
)  # fmt: skip
