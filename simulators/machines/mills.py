"""Ball mills: power that peaks at a filling, bearings, lubrication, fineness."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Machines, Moment, Values, Wear, lag, motor_current_a
from simulators.machines.points import Kind, Point


class BallMills(Machines):
    """Grinding mills: harder or more ore fills the mill; overfilled, it draws less power and is quieter."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._rated_kw = self.spread(400.0, 1600.0)
        self._rated_t_h = self._rated_kw / self.spread(10.0, 16.0)
        self._speed_rpm = self.spread(14.0, 21.0)
        self._hardness = self.spread(0.9, 1.1)
        self._filling = self.spread(0.3, 0.4)
        self._turning = np.zeros(n)
        self._indoor_c = self.spread(17.0, 28.0)
        self._front_c = self._indoor_c.copy()
        self._rear_c = self._indoor_c.copy()
        self._wear = Wear(self)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = settings["start"] > 0.5
        feed = settings["feed_setpoint"] / 100.0 * running
        lag(self._turning, 1.0 * running, 20.0, moment.dt_s)
        self._turning[self._turning < 0.005] = 0.0
        turning = self._turning > 0.0
        self.wander(self._hardness, 1.0, 1800.0, 0.07, moment.dt_s)
        lag(
            self._filling,
            np.clip(0.35 * feed * self._hardness, 0.05, 0.6),
            np.where(running, 800.0, 1e12),
            moment.dt_s,
        )
        shape = 1.0 - 1.25 * ((self._filling - 0.38) / 0.38) ** 2
        power = self._rated_kw * self._turning * np.maximum(0.88 * shape, 0.2) * (1.0 + self.noise(0.006))
        self._wear.run(turning, moment.dt_s)
        rise = 22.0 * self._turning * power / self._rated_kw
        lag(
            self._front_c, self._indoor_c + rise + 8.0 * self._wear.level * self._turning, 1500.0, moment.dt_s
        )
        lag(self._rear_c, self._indoor_c + 0.9 * rise, 1500.0, moment.dt_s)
        shake = 2.2 * self._turning * (1.0 + 1.8 * self._wear.level)
        self.power_kw = power
        return {
            "running": turning,
            "power": power,
            "current": motor_current_a(power, self._rated_kw, 6000.0),
            "speed": self._speed_rpm * self._turning,
            "feed_rate": self._rated_t_h * feed * (1.0 + self.noise(0.015)),
            "filling": 100.0 * self._filling,
            "sound_level": np.where(turning, 112.0 - 40.0 * (self._filling - 0.2) + self.noise(0.4), 45.0),
            "front_bearing_temperature": self._front_c,
            "rear_bearing_temperature": self._rear_c,
            "oil_pressure": np.where(turning, 0.24 + 0.03 * self._turning + self.noise(0.002), 0.0),
            "vibration": np.where(turning, np.abs(shake * (1.0 + self.noise(0.05))), 0.0),
        }


BALL_MILL = Kind(
    code="sim-ball-mill",
    prefix="BM",
    name="球磨机",
    english="Ball mill",
    device_class="processing",
    equipment="high_energy",
    high_voltage=True,
    create=BallMills,
    makers=("重岭矿机", "北原重工"),
    points=(
        Point("running", "运行", "bool", "discrete", 0),
        Point("power", "有功功率", "float32", "input", 0, "kW", low=0, high=2500),
        Point("current", "主电机电流", "float32", "input", 2, "A", low=0, high=400),
        Point("speed", "筒体转速", "float32", "input", 4, "r/min", low=0, high=30),
        Point("feed_rate", "给料量", "float32", "input", 6, "t/h", low=0, high=250),
        Point("filling", "填充率", "float32", "input", 8, "%", low=0, high=70),
        Point("sound_level", "磨音", "float32", "input", 10, "dB", low=0, high=140),
        Point("front_bearing_temperature", "前轴承温度", "float32", "input", 12, "°C", low=-20, high=120),
        Point("rear_bearing_temperature", "后轴承温度", "float32", "input", 14, "°C", low=-20, high=120),
        Point("oil_pressure", "润滑油压", "float32", "input", 16, "MPa", low=0, high=1),
        Point("vibration", "振动速度", "float32", "input", 18, "mm/s", low=0, high=45),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "feed_setpoint", "给料给定", "float32", "holding", 0, "%",
            writable=True, low=40, high=120, initial=96,
        ),
    ),
)  # fmt: skip
