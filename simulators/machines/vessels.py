"""Batch reactors and centrifuges: jackets, exothermal reaction, spinning baskets."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Batch, Machines, Moment, Values, Wear, lag, motor_current_a
from simulators.machines.points import Kind, Point


class Reactors(Machines):
    """Stirred batch reactors: fill, heat, react, cool, drain; jacket and reaction give the heat."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._batch = Batch(self, (15.0, 40.0, 90.0, 35.0, 12.0))
        self._content_c = self.spread(20.0, 90.0)
        self._jacket_c = self._content_c.copy()
        self._fill = self.spread(70.0, 86.0)
        self._level = self._fill * 0.5
        self._exotherm_c = self.spread(10.0, 26.0)
        self._rated_kw = self.spread(15.0, 55.0)
        self._speed = np.zeros(n)
        self._indoor_c = self.spread(17.0, 27.0)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        self._batch.advance(running, moment.dt_s)
        phase, progress = self._batch.phase, self._batch.progress
        wanted = settings["temperature_setpoint"]
        target = np.choose(
            phase, [np.full(self.n, 26.0), wanted, wanted, 38.0 + 0 * wanted, 32.0 + 0 * wanted]
        )
        target = np.where(running, target, self._indoor_c)
        jacket = np.clip(target + 2.2 * (target - self._content_c), 8.0, 185.0)
        lag(self._jacket_c, np.where(running, jacket, self._indoor_c), 75.0, moment.dt_s)
        reacting = (phase == 2) & running
        heat_c = self._exotherm_c * np.sin(np.pi * progress) * reacting
        lag(self._content_c, self._jacket_c + heat_c, 540.0, moment.dt_s)
        level = np.select(
            [phase == 0, phase == 4], [self._fill * progress, self._fill * (1 - progress)], self._fill
        )
        lag(self._level, level, 5.0, moment.dt_s)
        lag(self._speed, self._batch.by_phase(42.0, 88.0, 92.0, 60.0, 24.0) * running, 6.0, moment.dt_s)
        self._speed[self._speed < 0.2] = 0.0
        thick = 1.0 + 0.7 * progress * (phase == 2) + 0.7 * (phase == 3)
        self.power_kw = self._rated_kw * (self._speed / 92.0) ** 3 * thick * 0.5 * (0.2 + self._level / 100.0)
        # vapour above the content after Clausius and Clapeyron for water, with inert gas at 0.1 MPa
        vapour = 0.1013 * np.exp(4890.0 * (1 / 373.15 - 1 / (self._content_c + 273.15)))
        return {
            "phase": phase,
            "temperature": self._content_c + running * self.noise(0.05),
            "jacket_temperature": self._jacket_c + running * self.noise(0.08),
            "pressure": 0.1 + vapour,
            "level": np.maximum(self._level + running * self.noise(0.05), 0.0),
            "agitator_speed": self._speed,
            "agitator_power": self.power_kw,
            "agitator_current": motor_current_a(self.power_kw, self._rated_kw),
            "batches": self._batch.count,
        }


class Centrifuges(Machines):
    """Basket centrifuges: feed, accelerate, spin, brake, scrape; every basket is loaded a little unevenly."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._batch = Batch(self, (6.0, 2.0, 12.0, 3.0, 4.0))
        self._speed = np.zeros(n)
        self._load_kg = self.spread(50.0, 300.0)
        self._basket_kg = self.spread(280.0, 460.0)
        self._moisture = self.spread(10.0, 40.0)
        self._imbalance = self.spread(0.5, 1.6)
        self._rated_kw = self.spread(37.0, 75.0)
        self._indoor_c = self.spread(17.0, 27.0)
        self._bearing_c = self._indoor_c.copy()
        self._wear = Wear(self)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        begun = self._batch.advance(running, moment.dt_s)
        self._imbalance = np.where(begun, self.spread(0.4, 1.8), self._imbalance)
        phase, progress = self._batch.phase, self._batch.progress
        before = self._speed.copy()
        wanted = self._batch.by_phase(0.36, 1.0, 1.0, 0.05, 0.05) * settings["spin_speed_setpoint"] * running
        lag(self._speed, wanted, 22.0, moment.dt_s)
        self._speed[self._speed < 1.0] = 0.0
        turning = self._speed > 0.0
        load = np.select([phase == 0, phase == 4], [progress, 1.0 - progress], 1.0) * self._basket_kg
        self._load_kg = np.where(running, load, self._load_kg)
        lag(
            self._moisture,
            self._batch.by_phase(62.0, 40.0, 6.0, 6.0, 6.0),
            np.where(running, 240.0, 1e12),
            moment.dt_s,
        )
        ratio = self._speed / 1200.0
        pull = np.maximum((self._speed - before) / moment.dt_s, 0.0) * (200.0 + self._load_kg) * 2.2e-3
        self.power_kw = np.where(turning, self._rated_kw * (0.08 + 0.32 * ratio**2) + pull, 0.0)
        self._wear.run(turning, moment.dt_s)
        lag(
            self._bearing_c,
            self._indoor_c + 30.0 * ratio + 9.0 * self._wear.level * ratio,
            700.0,
            moment.dt_s,
        )
        shake = self._imbalance * (0.3 + 3.2 * ratio**2) * (1.0 + 1.5 * self._wear.level)
        return {
            "running": turning,
            "phase": phase,
            "speed": self._speed,
            "vibration": np.where(turning, np.abs(shake * (1.0 + self.noise(0.06))), 0.0),
            "bearing_temperature": self._bearing_c,
            "basket_load": self._load_kg,
            "moisture": self._moisture,
            "current": motor_current_a(self.power_kw, self._rated_kw),
            "power": self.power_kw,
            "cycles": self._batch.count,
        }


REACTOR = Kind(
    code="sim-reactor",
    prefix="R",
    name="反应釜",
    english="Stirred batch reactor",
    device_class="processing",
    equipment="high_energy",
    create=Reactors,
    makers=("鼎润化机", "东塬容器"),
    word_order="little",
    points=(
        Point("phase", "工序", "uint16", "holding", 0, low=0, high=4),
        Point("temperature", "釜内温度", "float32", "holding", 2, "°C", low=-20, high=220),
        Point("jacket_temperature", "夹套温度", "float32", "holding", 4, "°C", low=-20, high=220),
        Point("pressure", "釜内压力", "float32", "holding", 6, "MPa", low=0, high=2.5),
        Point("level", "液位", "float32", "holding", 8, "%", low=0, high=100),
        Point("agitator_speed", "搅拌转速", "float32", "holding", 10, "r/min", low=0, high=150),
        Point("agitator_power", "搅拌功率", "float32", "holding", 12, "kW", low=0, high=90),
        Point("agitator_current", "搅拌电流", "float32", "holding", 14, "A", low=0, high=200),
        Point("batches", "累计批次", "uint32", "holding", 16),
        Point("start", "启停命令", "bool", "holding", 30, bit=0, writable=True, initial=1),
        Point(
            "temperature_setpoint", "反应温度给定", "float32", "holding", 32, "°C",
            writable=True, low=40, high=150, initial=96,
        ),
    ),
)  # fmt: skip

CENTRIFUGE = Kind(
    code="sim-centrifuge",
    prefix="CF",
    name="离心机",
    english="Basket centrifuge",
    device_class="processing",
    equipment="high_energy",
    create=Centrifuges,
    makers=("汇川分离", "鼎润化机"),
    points=(
        Point("running", "运行", "bool", "discrete", 0),
        Point("phase", "工序", "uint16", "input", 0, low=0, high=4),
        Point("speed", "转速", "int32", "input", 2, "r/min", scale=0.01, low=0, high=1500),
        Point("vibration", "振动速度", "int32", "input", 4, "mm/s", scale=0.001, low=0, high=45),
        Point("bearing_temperature", "轴承温度", "int32", "input", 6, "°C", scale=0.01, low=-20, high=120),
        Point("basket_load", "转鼓载荷", "int32", "input", 8, "kg", scale=0.01, low=0, high=600),
        Point("moisture", "含湿量", "int32", "input", 10, "%", scale=0.01, low=0, high=100),
        Point("current", "电机电流", "int32", "input", 12, "A", scale=0.01, low=0, high=300),
        Point("power", "有功功率", "int32", "input", 14, "kW", scale=0.01, low=0, high=200),
        Point("cycles", "累计循环", "uint32", "input", 16),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "spin_speed_setpoint", "甩干转速给定", "uint16", "holding", 0, "r/min",
            writable=True, low=600, high=1200, initial=1100,
        ),
    ),
)  # fmt: skip
