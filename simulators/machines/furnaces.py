"""Arc furnaces and heating furnaces: heat balance, batches, combustion."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Batch, Machines, Moment, Values, lag
from simulators.machines.points import Kind, Point


class ArcFurnaces(Machines):
    """Electric arc furnaces: charge, melt, refine, tap; the arc is rough while scrap falls into it."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._rated_mw = self.spread(18.0, 42.0)
        self._batch = Batch(self, (9.0, 28.0, 18.0, 6.0))
        self._bath_c = np.full(n, 900.0)
        self._water_in_c = self.spread(22.0, 29.0)
        self._water_c = self._water_in_c.copy()
        self._energy_mwh = self.spread(0.0, 12.0)
        self._arc = np.zeros((3, n))

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        tap = settings["transformer_tap"]
        begun = self._batch.advance(running, moment.dt_s)
        melting = self._batch.phase == 1
        level = self._batch.by_phase(0.0, 0.95, 0.6, 0.0) * (0.5 + tap / 24.0) * running
        roughness = self._batch.by_phase(0.0, 0.14, 0.03, 0.0) * (1.3 - 0.6 * self._batch.progress * melting)
        keep = np.exp(-moment.dt_s / 2.0)
        self._arc += (1.0 - keep) * (roughness * self.chance.standard_normal((3, self.n)) - self._arc)
        volt = np.where(level > 0.0, 380.0 + 42.0 * tap, 0.0)
        electrode_ka = np.zeros((3, self.n))
        arcing = level > 0.0
        per_phase = self._rated_mw * level * 1e3 / np.maximum(np.sqrt(3.0) * volt * 0.82, 1.0)
        electrode_ka[:, arcing] = (per_phase * (1.0 + self._arc))[:, arcing]
        power_mw = self._rated_mw * level * (1.0 + self._arc.mean(axis=0))
        self._energy_mwh = np.where(begun, 0.0, self._energy_mwh + power_mw * moment.dt_s / 3600.0)
        heat = np.where(running, self._batch.by_phase(480.0, 1560.0, 1655.0, 1600.0), 120.0)
        tau = np.where(running, self._batch.by_phase(160.0, 620.0, 500.0, 900.0), 5400.0)
        lag(self._bath_c, heat, tau, moment.dt_s)
        lag(self._water_c, self._water_in_c + 17.0 * level, 90.0, moment.dt_s)
        self.power_kw = power_mw * 1000.0
        return {
            "phase": self._batch.phase,
            "progress": 100.0 * self._batch.progress,
            "electrode_1_current": electrode_ka[0],
            "electrode_2_current": electrode_ka[1],
            "electrode_3_current": electrode_ka[2],
            "arc_voltage": volt * (1.0 - 0.3 * np.abs(self._arc.mean(axis=0))),
            "active_power": power_mw,
            "bath_temperature": self._bath_c + np.where(running, self.noise(1.2), 0.0),
            "cooling_water_temperature": self._water_c,
            "heat_energy": self._energy_mwh,
            "heats": self._batch.count,
        }


class HeatingFurnaces(Machines):
    """Gas-fired reheating furnaces of three zones; a PI controller per zone trims the gas."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._below_c = np.array([[190.0], [70.0], [0.0]]) * self.spread(0.8, 1.2)
        self._zone_c = np.full((3, n), 40.0) + self.spread(1000.0, 1100.0) - self._below_c
        self._integral = np.full((3, n), 0.72)
        self._rated_gas_m3h = self.spread(900.0, 2600.0)
        self._rated_t_h = self.spread(40.0, 120.0)
        self._load = self.spread(0.6, 0.95)
        self._excess_air = self.spread(1.06, 1.16)
        self._pressure_pa = self.spread(8.0, 16.0)
        self._door_s = np.zeros(n)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        error = settings["temperature_setpoint"] - self._below_c - self._zone_c
        self._integral = np.clip(self._integral + error * 6e-6 * moment.dt_s, 0.0, 1.0)
        gas = np.clip(0.004 * error + self._integral, 0.05, 1.0) * running
        self.wander(self._load, 0.8, 900.0, 0.08, moment.dt_s)
        np.clip(self._load, 0.1, 1.1, self._load)
        opened = self.chance.random(self.n) < moment.dt_s / 180.0
        self._door_s = np.where(opened & (self._door_s <= 0.0), 14.0, self._door_s - moment.dt_s)
        door = (self._door_s > 0.0) & running
        steady = 60.0 + 1680.0 * gas / (0.72 + 0.38 * self._load * running) - 110.0 * door
        lag(self._zone_c, steady, np.where(running, 1100.0, 9000.0), moment.dt_s)
        self.wander(self._excess_air, 1.11, 300.0, 0.025, moment.dt_s)
        self.wander(self._pressure_pa, 12.0, 20.0, 2.0, moment.dt_s)
        gas_m3h = self._rated_gas_m3h * gas.mean(axis=0)
        self.power_kw = running * (24.0 + 0.05 * gas_m3h)
        seen = self._zone_c + running * self.chance.standard_normal((3, self.n)) * 0.5
        return {
            "running": running,
            "door_open": door,
            "zone_1_temperature": seen[0],
            "zone_2_temperature": seen[1],
            "zone_3_temperature": seen[2],
            "gas_flow": gas_m3h,
            "oxygen": np.where(running, 21.0 * (1.0 - 1.0 / np.maximum(self._excess_air, 1.01)), 20.9),
            "furnace_pressure": np.where(running, self._pressure_pa - 9.0 * door, 0.0),
            "throughput": self._rated_t_h * self._load * running * ~door,
            "power": self.power_kw,
        }


ARC_FURNACE = Kind(
    code="sim-arc-furnace",
    prefix="EAF",
    name="电弧炉",
    english="Electric arc furnace",
    device_class="processing",
    equipment="high_energy",
    high_voltage=True,
    create=ArcFurnaces,
    makers=("西原电炉", "钢研成套"),
    points=(
        Point("phase", "工序", "uint16", "input", 0, low=0, high=3),
        Point("progress", "工序进度", "uint16", "input", 1, "%", scale=0.1, low=0, high=100),
        Point("electrode_1_current", "一号电极电流", "float32", "input", 2, "kA", low=0, high=90),
        Point("electrode_2_current", "二号电极电流", "float32", "input", 4, "kA", low=0, high=90),
        Point("electrode_3_current", "三号电极电流", "float32", "input", 6, "kA", low=0, high=90),
        Point("arc_voltage", "电弧电压", "float32", "input", 8, "V", low=0, high=1000),
        Point("active_power", "有功功率", "float32", "input", 10, "MW", low=0, high=70),
        Point("bath_temperature", "熔池温度", "float32", "input", 12, "°C", low=0, high=1800),
        Point("cooling_water_temperature", "冷却水温度", "float32", "input", 14, "°C", low=0, high=90),
        Point("heat_energy", "本炉电量", "float32", "input", 16, "MWh", low=0),
        Point("heats", "累计炉数", "uint32", "input", 18),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "transformer_tap", "变压器档位", "uint16", "holding", 0,
            writable=True, low=1, high=12, initial=9,
        ),
    ),
)  # fmt: skip

HEATING_FURNACE = Kind(
    code="sim-heating-furnace",
    prefix="HF",
    name="加热炉",
    english="Reheating furnace",
    device_class="processing",
    equipment="high_energy",
    create=HeatingFurnaces,
    makers=("炉鼎热工", "西原电炉"),
    word_order="little",
    points=(
        Point("running", "运行", "bool", "discrete", 0),
        Point("door_open", "炉门打开", "bool", "discrete", 1),
        Point("zone_1_temperature", "预热段温度", "float32", "holding", 0, "°C", low=0, high=1400),
        Point("zone_2_temperature", "加热段温度", "float32", "holding", 2, "°C", low=0, high=1400),
        Point("zone_3_temperature", "均热段温度", "float32", "holding", 4, "°C", low=0, high=1400),
        Point("gas_flow", "燃气流量", "float32", "holding", 6, "m³/h", low=0, high=3000),
        Point("oxygen", "烟气含氧量", "float32", "holding", 8, "%", low=0, high=21),
        Point("furnace_pressure", "炉膛压力", "float32", "holding", 10, "Pa", low=-100, high=100),
        Point("throughput", "产量", "float32", "holding", 12, "t/h", low=0, high=200),
        Point("power", "有功功率", "float32", "holding", 14, "kW", low=0, high=400),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "temperature_setpoint", "均热段温度给定", "float32", "holding", 30, "°C",
            writable=True, low=600, high=1280, initial=1180,
        ),
    ),
)  # fmt: skip
