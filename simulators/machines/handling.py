"""Packaging lines, AGVs and robots: intelligent machines that work in shifts and stand still between."""

from collections.abc import Mapping

import numpy as np

from simulators.machines.physics import Machines, Moment, Shift, Values, lag
from simulators.machines.points import Kind, Point

_EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]
TWO_SHIFTS = {
    "timezone": "Asia/Shanghai",
    "shifts": [
        {"days": _EVERY_DAY, "start": "06:00", "end": "14:00"},
        {"days": _EVERY_DAY, "start": "14:00", "end": "22:00"},
    ],
}


class PackagingLines(Machines):
    """Form, fill and seal lines: speed, counts, rejects that rise when the seal is too cold."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._shift = Shift(self, 0.3)
        self._speed = np.zeros(n)
        self._seal_c = self.spread(150.0, 165.0)
        self._made = np.floor(self.spread(1e4, 4e6))
        self._rejected = np.floor(self._made * 0.004)
        self._owed = np.zeros(n)
        self._air_mpa = self.spread(0.56, 0.63)
        self._rated_kw = self.spread(8.0, 22.0)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        on_shift = self._shift.on(moment)
        running = on_shift & (settings["start"] > 0.5)
        lag(self._speed, settings["speed_setpoint"] * running, 8.0, moment.dt_s)
        self._speed[self._speed < 0.5] = 0.0
        heating = settings["start"] > 0.5
        lag(self._seal_c, np.where(heating, 165.0, 24.0), 200.0, moment.dt_s)
        self._owed += self._speed / 60.0 * moment.dt_s
        packs = np.floor(self._owed)
        self._owed -= packs
        cold = np.clip((158.0 - self._seal_c) / 10.0, 0.0, 1.0)
        rejects = self.chance.binomial(packs.astype(np.int64), 0.003 + 0.3 * cold)
        self._made += packs - rejects
        self._rejected += rejects
        self.power_kw = self._rated_kw * (0.22 * heating + 0.7 * self._speed / 120.0)
        return {
            "running": self._speed > 0.0,
            "alarm": np.where(heating & ~on_shift, 12, 0),
            "speed": self._speed,
            "packs": self._made,
            "rejects": self._rejected,
            "seal_temperature": self._seal_c + np.where(running, self.noise(0.3), 0.0),
            "air_pressure": self._air_mpa - 0.02 * self._speed / 120.0,
            "drive_current": 1.6 * self._speed / 10.0 * 0.18 + np.where(running, 0.9, 0.0),
            "power": self.power_kw,
        }


_IDLE, _EMPTY, _LOADED, _CHARGING = 0, 1, 2, 3


class Agvs(Machines):
    """Automated guided vehicles on rectangular routes: fetch, carry, wait, charge."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._width_m = self.spread(20.0, 90.0)
        self._depth_m = self.spread(10.0, 45.0)
        self._along_m = self.spread(0.0, 60.0)
        self._state = chance.integers(0, 3, n)
        self._left_s = self.spread(5.0, 60.0)
        self._speed = np.zeros(n)
        self._battery = self.spread(35.0, 95.0)
        self._odometer_m = self.spread(1e5, 4e6)
        self._motor_c = self.spread(22.0, 35.0)
        self._payload_kg = np.zeros(n)
        self._shift = Shift(self, 0.4)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        dt = moment.dt_s
        allowed = (settings["start"] > 0.5) & self._shift.on(moment)
        self._left_s -= np.where(allowed, dt, 0.0)
        over = (self._left_s <= 0.0) & allowed & (self._state != _CHARGING)
        self._state = np.where(over, (self._state + 1) % 3, self._state)
        self._left_s = np.where(over, self.spread(15.0, 90.0), self._left_s)
        self._state = np.where(self._battery < 25.0, _CHARGING, self._state)
        self._state = np.where((self._state == _CHARGING) & (self._battery > 95.0), _IDLE, self._state)
        limit = settings["speed_limit"]
        moving = ((self._state == _EMPTY) | (self._state == _LOADED)) & allowed
        lag(self._speed, np.where(self._state == _LOADED, 0.75, 1.0) * limit * moving, 1.5, dt)
        self._speed[self._speed < 0.01] = 0.0
        self._payload_kg = np.where(
            over & (self._state == _LOADED), self.spread(200.0, 950.0), self._payload_kg
        )
        self._payload_kg[self._state != _LOADED] = 0.0
        self._along_m = (self._along_m + self._speed * dt) % (2 * (self._width_m + self._depth_m))
        self._odometer_m += self._speed * dt
        drive_kw = self._speed * (500.0 + self._payload_kg) * 9.81 * 0.025 / 0.7 / 1000.0
        charging = self._state == _CHARGING
        idle_kw = np.where(allowed, 0.12, 0.0)
        self._battery += np.where(charging, 22.0, -(drive_kw + idle_kw) / 4.8 * 100.0) * dt / 3600.0
        np.clip(self._battery, 0.0, 100.0, self._battery)
        lag(self._motor_c, 24.0 + 16.0 * self._speed, 400.0, dt)
        self.power_kw = charging * 1.2
        x, y = self._position()
        return {
            "state": self._state.astype(np.float64),
            "x": x,
            "y": y,
            "speed": self._speed,
            "battery": self._battery,
            "payload": self._payload_kg,
            "odometer": self._odometer_m / 1000.0,
            "motor_temperature": self._motor_c,
            "drive_power": drive_kw,
        }

    def _position(self) -> tuple[Values, Values]:
        """Return where on the rectangle each vehicle is, in metres."""
        w, d, s = self._width_m, self._depth_m, self._along_m
        sides = [s < w, s < w + d, s < 2 * w + d]
        x = np.select(sides, [s, w, 2 * w + d - s], 0.0)
        y = np.select(sides, [np.zeros(self.n), s - w, d], 2 * (w + d) - s)
        return x, y


class Robots(Machines):
    """Six-axis robots repeating a taught cycle; joints hold their place while the cell waits."""

    def __init__(self, n: int, chance: np.random.Generator) -> None:
        super().__init__(n, chance)
        self._cycle_s = self.spread(14.0, 46.0)
        self._turn = self.spread(0.0, 1.0)
        self._swing_deg = chance.uniform(15.0, 85.0, (6, n))
        self._middle_deg = chance.uniform(-40.0, 40.0, (6, n))
        self._shift_of_joint = chance.uniform(0.0, 2 * np.pi, (6, n))
        self._cycles = np.floor(self.spread(2e4, 3e6))
        self._motor_c = self.spread(24.0, 40.0)
        self._load_kg = self.spread(8.0, 160.0)
        self._rated_kw = 1.5 + self._load_kg / 40.0
        self._shift = Shift(self, 0.5)

    def step(self, moment: Moment, settings: Mapping[str, Values]) -> dict[str, Values]:
        running = (settings["start"] > 0.5) & self._shift.on(moment)
        override = settings["speed_override"] / 100.0 * running
        self._turn += override * moment.dt_s / self._cycle_s
        done = np.floor(self._turn)
        self._cycles += done
        self._turn -= done
        angle = 2 * np.pi * self._turn + self._shift_of_joint
        joints = self._middle_deg + self._swing_deg * np.sin(angle)
        effort = np.abs(np.cos(angle[1])) * override
        self.power_kw = self._rated_kw * (0.12 * (settings["start"] > 0.5) + 0.75 * effort)
        lag(self._motor_c, 25.0 + 27.0 * override, 1500.0, moment.dt_s)
        return {
            "running": running,
            "joint_1": joints[0],
            "joint_2": joints[1],
            "joint_3": joints[2],
            "joint_4": joints[3],
            "joint_5": joints[4],
            "joint_6": joints[5],
            "axis_2_torque": 100.0 * effort * (0.35 + self._load_kg / 320.0),
            "motor_temperature": self._motor_c,
            "power": self.power_kw,
            "cycles": self._cycles,
        }


PACKAGING_LINE = Kind(
    code="sim-packaging-line",
    prefix="PK",
    name="自动包装线",
    english="Packaging line",
    device_class="processing",
    equipment="intelligent",
    create=PackagingLines,
    makers=("汇包智能", "新程包装"),
    shift_pattern=TWO_SHIFTS,
    points=(
        Point("running", "运行", "bool", "holding", 0, bit=0),
        Point("alarm", "报警代码", "uint16", "holding", 1),
        Point("speed", "包装速度", "uint16", "holding", 2, "1/min", scale=0.1, low=0, high=150),
        Point("packs", "合格件数", "uint32", "holding", 4),
        Point("rejects", "剔除件数", "uint32", "holding", 6),
        Point("seal_temperature", "封口温度", "int16", "holding", 8, "°C", scale=0.1, low=0, high=250),
        Point("air_pressure", "气源压力", "uint16", "holding", 9, "MPa", scale=0.001, low=0, high=1),
        Point("drive_current", "主驱动电流", "uint16", "holding", 10, "A", scale=0.01, low=0, high=60),
        Point("power", "有功功率", "uint16", "holding", 11, "kW", scale=0.01, low=0, high=60),
        Point("start", "启停命令", "bool", "holding", 20, bit=0, writable=True, initial=1),
        Point(
            "speed_setpoint", "速度给定", "uint16", "holding", 21, "1/min",
            scale=0.1, writable=True, low=20, high=120, initial=90,
        ),
    ),
)  # fmt: skip

AGV = Kind(
    code="sim-agv",
    prefix="AGV",
    name="自动导引车",
    english="Automated guided vehicle",
    device_class="mobile",
    equipment="intelligent",
    create=Agvs,
    makers=("行远智能", "路程机器人"),
    shift_pattern=TWO_SHIFTS,
    points=(
        Point("state", "状态", "uint16", "holding", 0, low=0, high=3),
        Point("x", "X 坐标", "int32", "holding", 2, "m", scale=0.001, low=0, high=200),
        Point("y", "Y 坐标", "int32", "holding", 4, "m", scale=0.001, low=0, high=200),
        Point("speed", "速度", "uint16", "holding", 6, "m/s", scale=0.001, low=0, high=2),
        Point("battery", "电量", "uint16", "holding", 7, "%", scale=0.01, low=0, high=100),
        Point("payload", "载荷", "uint16", "holding", 8, "kg", scale=0.1, low=0, high=1500),
        Point("odometer", "里程", "uint32", "holding", 10, "km", scale=0.001),
        Point("motor_temperature", "电机温度", "int16", "holding", 12, "°C", scale=0.1, low=-20, high=120),
        Point("drive_power", "驱动功率", "uint16", "holding", 13, "kW", scale=0.001, low=0, high=5),
        Point("start", "启停命令", "bool", "holding", 20, bit=0, writable=True, initial=1),
        Point(
            "speed_limit", "限速", "uint16", "holding", 21, "m/s",
            scale=0.001, writable=True, low=0.2, high=1.6, initial=1.2,
        ),
    ),
)  # fmt: skip

ROBOT = Kind(
    code="sim-robot",
    prefix="RB",
    name="工业机器人",
    english="Six-axis robot",
    device_class="processing",
    equipment="intelligent",
    create=Robots,
    makers=("路程机器人", "臂通科技"),
    shift_pattern=TWO_SHIFTS,
    points=(
        Point("running", "运行", "bool", "discrete", 0),
        *(
            Point(
                f"joint_{axis}", f"{axis}轴角度", "int16", "input", axis - 1, "°",
                scale=0.01, low=-180, high=180,
            )
            for axis in range(1, 7)
        ),
        Point("axis_2_torque", "二轴力矩", "int16", "input", 6, "%", scale=0.01, low=-200, high=200),
        Point("motor_temperature", "电机温度", "int16", "input", 7, "°C", scale=0.1, low=-20, high=120),
        Point("power", "有功功率", "uint16", "input", 8, "kW", scale=0.001, low=0, high=20),
        Point("cycles", "累计节拍", "uint32", "input", 10),
        Point("start", "启停命令", "bool", "coil", 0, writable=True, initial=1),
        Point(
            "speed_override", "速度倍率", "uint16", "holding", 0, "%",
            writable=True, low=10, high=100, initial=80,
        ),
    ),
)  # fmt: skip
