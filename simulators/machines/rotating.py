"""Pumps and compressors: affinity laws, receiver pressure, bearings that warm and wear."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Machines, Moment, Values, Wear, lag, motor_current_a
from simulators.machines.points import Kind, Point

_GRAVITY = 9.81
_WATER_KG_M3 = 998.0


class Pumps(Machines):
    """Centrifugal water pumps with variable speed against a system of static head and friction.

    Affinity laws: flow with speed, head with speed², power with speed³ (ISO 17769-1). The pump's curve is
    H = 1.22·Hn·s² − 0.22·Hn·(Q/Qn)², the system's H = 0.3·Hn + 0.7·Hn·demand·(Q/Qn)².
    """

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._rated_rpm = chance.choice([1480.0, 2960.0], n)
        self._flow_m3h = self.spread(60.0, 450.0)
        self._head_m = self.spread(22.0, 58.0)
        self._efficiency = self.spread(0.66, 0.82)
        shaft_kw = (
            _WATER_KG_M3 * _GRAVITY * self._flow_m3h / 3600.0 * self._head_m / self._efficiency / 1000.0
        )
        self._rated_kw = shaft_kw * 1.15
        self._suction_mpa = self.spread(0.04, 0.18)
        self._indoor_c = self.spread(16.0, 29.0)
        self._roughness = self.spread(0.8, 1.7)
        self._demand = self.spread(0.8, 1.3)
        self._speed = np.zeros(n)
        self._bearing_c = self._indoor_c.copy()
        self._wear = Wear(self)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        lag(self._speed, self._rated_rpm * settings["speed_setpoint"] / 100.0 * running, 3.0, moment.dt_s)
        self._speed[self._speed < 1.0] = 0.0
        turning = self._speed > 0.0
        self.wander(self._demand, 1.0, 600.0, 0.12, moment.dt_s)
        np.clip(self._demand, 0.6, 1.8, self._demand)
        ratio = self._speed / self._rated_rpm
        drive = np.maximum(1.22 * ratio**2 - 0.3, 0.0)
        flow_share = np.sqrt(drive / (0.22 + 0.7 * self._demand))
        flow = self._flow_m3h * flow_share
        head = self._head_m * np.maximum(1.22 * ratio**2 - 0.22 * flow_share**2, 0.0)
        hydraulic_kw = _WATER_KG_M3 * _GRAVITY * flow / 3600.0 * head / 1000.0
        efficiency = self._efficiency * (1.0 - 0.5 * (flow_share / np.maximum(ratio, 0.01) - 1.0) ** 2)
        power = hydraulic_kw / np.maximum(efficiency, 0.3) + 0.06 * self._rated_kw * ratio**3
        power *= 1.0 + self.noise(0.004)
        self._wear.run(turning, moment.dt_s)
        lag(
            self._bearing_c,
            self._indoor_c + 26.0 * ratio**1.5 + 14.0 * self._wear.level * ratio,
            900.0,
            moment.dt_s,
        )
        shake = self._roughness * (0.25 + ratio**2) * (1.0 + 2.8 * self._wear.level**2)
        self.power_kw = power
        density_mpa = _WATER_KG_M3 * _GRAVITY / 1e6
        return {
            "running": turning,
            "speed": self._speed * (1.0 + self.noise(0.0006)),
            "flow": flow * (1.0 + self.noise(0.006)),
            "discharge_pressure": self._suction_mpa + density_mpa * head * (1.0 + self.noise(0.004)),
            "power": power,
            "current": motor_current_a(power, self._rated_kw),
            "bearing_temperature": self._bearing_c,
            "vibration": np.where(turning, np.abs(shake * (1.0 + self.noise(0.05))), 0.0),
            "hours": self._wear.hours,
        }


class Compressors(Machines):
    """Screw compressors that load and unload around a pressure, each with a receiver and consumers."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._rated_kw = chance.choice([75.0, 110.0, 160.0, 250.0], n)
        self._supply_mpa_s = self.spread(0.006, 0.012)
        self._consumption = self.spread(0.4, 0.8)
        self._indoor_c = self.spread(18.0, 31.0)
        self._pressure = self.spread(0.62, 0.72)
        self._loaded = chance.random(n) < 0.6
        self._air_c = self._indoor_c.copy()
        self._oil_c = self._indoor_c.copy()
        self._wear = Wear(self)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        wanted = settings["pressure_setpoint"]
        self._loaded = np.where(self._pressure < wanted - 0.04, True, self._loaded)
        self._loaded = np.where(self._pressure > wanted + 0.04, False, self._loaded) & running
        self.wander(self._consumption, 0.62, 240.0, 0.1, moment.dt_s)
        np.clip(self._consumption, 0.15, 0.97, self._consumption)
        used = self._consumption * np.sqrt(np.maximum(self._pressure, 0.0) / 0.65)
        self._pressure += (self._loaded - used) * self._supply_mpa_s * moment.dt_s
        np.clip(self._pressure, 0.0, wanted + 0.06, self._pressure)
        self._pressure[(self._pressure < 0.002) & ~running] = 0.0
        load = np.where(self._loaded, 0.9 + 0.35 * (self._pressure - 0.65), 0.28) * running
        power = self._rated_kw * load * (1.0 + self.noise(0.005))
        self._wear.run(running, moment.dt_s)
        lag(self._oil_c, self._indoor_c + 48.0 * load, 420.0, moment.dt_s)
        lag(self._air_c, self._indoor_c + running * (44.0 + 26.0 * load), 240.0, moment.dt_s)
        shake = (1.4 + 1.1 * load) * (1.0 + 2.0 * self._wear.level**2)
        self.power_kw = power
        return {
            "running": running,
            "loaded": self._loaded,
            "discharge_pressure": self._pressure + np.where(running, self.noise(0.0008), 0.0),
            "discharge_temperature": self._air_c,
            "oil_temperature": self._oil_c,
            "power": power,
            "current": motor_current_a(power, self._rated_kw),
            "vibration": np.where(running, np.abs(shake * (1.0 + self.noise(0.05))), 0.0),
            "hours": self._wear.hours,
        }


PUMP = Kind(
    code="sim-pump",
    prefix="P",
    name="循环水泵",
    english="Circulating pump",
    device_class="operating",
    equipment="general_power",
    create=Pumps,
    makers=("松河泵业", "北原水泵"),
    points=(
        Point("running", "运行", "bool", "discrete", 0),
        Point("speed", "转速", "float32", "input", 0, "r/min", low=0, high=3100),
        Point("flow", "流量", "float32", "input", 2, "m³/h", low=0, high=800),
        Point("discharge_pressure", "出口压力", "float32", "input", 4, "MPa", low=0, high=1.6),
        Point("power", "有功功率", "float32", "input", 6, "kW", low=0, high=200),
        Point("current", "电机电流", "float32", "input", 8, "A", low=0, high=400),
        Point("bearing_temperature", "轴承温度", "float32", "input", 10, "°C", low=-20, high=120),
        Point("vibration", "振动速度", "float32", "input", 12, "mm/s", low=0, high=45),
        Point("hours", "运行小时", "uint32", "input", 14, "h"),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "speed_setpoint", "转速给定", "float32", "holding", 0, "%",
            writable=True, low=30, high=100, initial=88,
        ),
    ),
)  # fmt: skip

COMPRESSOR = Kind(
    code="sim-compressor",
    prefix="C",
    name="螺杆空压机",
    english="Screw compressor",
    device_class="operating",
    equipment="general_power",
    create=Compressors,
    makers=("风岭压缩机", "海拓机械"),
    points=(
        Point("running", "运行", "bool", "holding", 0, bit=0),
        Point("loaded", "加载", "bool", "holding", 0, bit=1),
        Point("discharge_pressure", "排气压力", "uint16", "holding", 1, "MPa", scale=0.001, low=0, high=1.3),
        Point("discharge_temperature", "排气温度", "int16", "holding", 2, "°C", scale=0.1, low=-20, high=130),
        Point("oil_temperature", "油温", "int16", "holding", 3, "°C", scale=0.1, low=-20, high=120),
        Point("power", "有功功率", "uint16", "holding", 4, "kW", scale=0.1, low=0, high=400),
        Point("current", "主机电流", "uint16", "holding", 5, "A", scale=0.1, low=0, high=800),
        Point("vibration", "振动速度", "uint16", "holding", 6, "mm/s", scale=0.01, low=0, high=45),
        Point("hours", "运行小时", "uint32", "holding", 8, "h"),
        Point("start", "启停命令", "bool", "holding", 20, bit=0, writable=True, initial=1),
        Point(
            "pressure_setpoint", "压力给定", "uint16", "holding", 21, "MPa",
            scale=0.001, writable=True, low=0.5, high=0.85, initial=0.68,
        ),
    ),
)  # fmt: skip
