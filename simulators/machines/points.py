"""A kind of machine: its points (tags with a place in the registers); values to registers and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulators.machines.physics import Machines

Values = NDArray[np.float64]
TableName = Literal["holding", "input", "coil", "discrete"]

_DTYPES = {
    "int16": ">i2",
    "uint16": ">u2",
    "int32": ">i4",
    "uint32": ">u4",
    "int64": ">i8",
    "uint64": ">u8",
    "float32": ">f4",
    "float64": ">f8",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One tag. Engineering value = raw × scale + offset; initial: what a writable point holds at start."""

    name: str
    label: str
    type: str
    table: TableName
    register: int
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    bit: int | None = None
    writable: bool = False
    low: float | None = None
    high: float | None = None
    initial: float = 0.0

    @property
    def binary(self) -> bool:
        """Whether it is either on or off."""
        return self.bit is not None or self.table in ("coil", "discrete")

    @property
    def width(self) -> int:
        """How many registers or bits it takes."""
        return np.dtype(_DTYPES[self.type]).itemsize // 2 if self.type in _DTYPES else 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of machine: codes, names, points, physics.

    prefix: of device codes, as in P-001. word_order: of values over more than one register.
    device_class, equipment: the guideline's classes (annexes 1.2 and 7.5). high_voltage: it hangs on a feeder
    of its own, which no low-voltage meter sees.
    """

    code: str
    prefix: str
    name: str
    english: str
    device_class: Literal["operating", "processing", "mobile", "other"]
    equipment: Literal["high_energy", "general_power", "intelligent"]
    points: tuple[Point, ...]
    create: Callable[[int, np.random.Generator], Machines]
    makers: tuple[str, ...]
    word_order: Literal["big", "little"] = "big"
    shift_pattern: Mapping[str, Any] | None = None
    high_voltage: bool = False
    settings: tuple[Point, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", tuple(point for point in self.points if point.writable))


def to_registers(point: Point, values: Values, word_order: str) -> NDArray[np.uint16]:
    """Return (n, width) >u2 registers of (n,) engineering values; integers are rounded and held in range."""
    dtype = np.dtype(_DTYPES[point.type])
    raw = (values - point.offset) / point.scale if (point.scale, point.offset) != (1.0, 0.0) else values
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        raw = np.clip(np.rint(raw), float(limits.min), float(limits.max))
    words: NDArray[np.uint16] = raw.astype(dtype).view(">u2").reshape(len(values), point.width)
    return words[:, ::-1] if word_order == "little" else words


def from_registers(point: Point, words: NDArray[np.uint16], word_order: str) -> Values:
    """Return (n,) engineering values of (n, width) >u2 registers, held within the point's limits.

    A number that is none becomes the point's initial value: a machine does not follow nonsense.
    """
    ordered = words[:, ::-1] if word_order == "little" else words
    raw = np.ascontiguousarray(ordered).view(_DTYPES[point.type]).reshape(len(words)).astype(np.float64)
    values = np.where(np.isfinite(raw), raw * point.scale + point.offset, point.initial)
    return np.clip(
        values,
        -np.inf if point.low is None else point.low,
        np.inf if point.high is None else point.high,
    )
