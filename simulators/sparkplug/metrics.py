"""What a machine says of itself in Sparkplug B: its metrics with datatypes and aliases. Pure.

Properties/…            what it is, and that it is simulated
Process/<point>         a point, in engineering units
"""

from collections.abc import Iterable

from muster.sparkplug import DataType, Metric, Property, PropertySet
from simulators.machines.machine import Machine
from simulators.machines.points import Point

VENDOR = "Properties/Manufacturer"
MODEL = "Properties/Model"
SERIAL_NUMBER = "Properties/SerialNumber"
SIMULATED = "Properties/Simulated"
ALIASES = 100
"""How many aliases a machine may have: no two metrics of an edge node and its devices share one."""
_UNSCALED = {
    "int16": DataType.INT16,
    "uint16": DataType.UINT16,
    "int32": DataType.INT32,
    "uint32": DataType.UINT32,
    "int64": DataType.INT64,
    "uint64": DataType.UINT64,
    "float32": DataType.FLOAT,
}


def metric_name(point: Point) -> str:
    """Return the name of a point's metric."""
    return f"Process/{point.name}"


def datatype(point: Point) -> DataType:
    """Return a point's datatype: its registers' own where they hold engineering values, else Double."""
    if point.binary:
        return DataType.BOOLEAN
    scaled = (point.scale, point.offset) != (1.0, 0.0)
    return DataType.DOUBLE if scaled else _UNSCALED.get(point.type, DataType.DOUBLE)


def identity(vendor: str, model: str, serial_number: str) -> list[Metric]:
    """Return what somebody says that he is: never anything but simulated."""
    return [
        Metric(VENDOR, None, DataType.STRING, vendor),
        Metric(MODEL, None, DataType.STRING, model),
        Metric(SERIAL_NUMBER, None, DataType.STRING, serial_number),
        Metric(SIMULATED, None, DataType.BOOLEAN, True),
    ]


class Speaker:
    """One machine's side of an edge node: what it has said, and what is news. first: of its aliases."""

    def __init__(self, machine: Machine, first: int) -> None:
        self.machine = machine
        self._first = first
        self._identity = identity(
            machine.identity.vendor, machine.identity.model_name, machine.identity.serial_number
        )
        self._alias = {
            point.name: first + len(self._identity) + at for at, point in enumerate(machine.kind.points)
        }
        self._points = {self._alias[point.name]: point for point in machine.kind.points}
        self._said: dict[str, float | bool] = {}

    def birth(self, now_ms: int) -> list[Metric]:
        """Return everything that it has; what is said afterwards by alias means this."""
        metrics = [
            Metric(one.name, self._first + at, one.datatype, one.value, now_ms)
            for at, one in enumerate(self._identity)
        ]
        for point in self.machine.kind.points:
            metric = self._metric(point, now_ms)
            metric.name, metric.datatype = metric_name(point), datatype(point)
            metric.properties = _properties(point)
            metrics.append(metric)
        return metrics

    def news(self, now_ms: int) -> list[Metric]:
        """Return what has changed since it was said; the first point in any case, so that it says something."""
        points = self.machine.kind.points
        changed = [point for point in points if self.machine.value(point) != self._said.get(point.name)]
        return self.told(changed or points[:1], now_ms)

    def told(self, points: Iterable[Point], now_ms: int) -> list[Metric]:
        """Return what these points measure now."""
        return [self._metric(point, now_ms) for point in points]

    def nothing(self, now_ms: int) -> list[Metric]:
        """Return that there is no value of any point."""
        self._said.clear()
        return [
            Metric("", alias, datatype(point), None, now_ms, is_null=True)
            for alias, point in self._points.items()
        ]

    def point(self, metric: Metric) -> Point | None:
        """Return the writable point that a command names, by its alias or its name."""
        found = None if metric.alias is None else self._points.get(metric.alias)
        for point in self.machine.kind.settings:
            if point is found or (metric.alias is None and metric_name(point) == metric.name):
                return point
        return None

    def _metric(self, point: Point, now_ms: int) -> Metric:
        value = self._said[point.name] = self.machine.value(point)
        kind = datatype(point)
        whole = kind not in (DataType.BOOLEAN, DataType.FLOAT, DataType.DOUBLE)
        return Metric("", self._alias[point.name], kind, round(value) if whole else value, now_ms)


def _properties(point: Point) -> PropertySet:
    properties = {"readOnly": Property(DataType.BOOLEAN, not point.writable)}
    if point.unit:
        properties["engUnit"] = Property(DataType.STRING, point.unit)
    return properties
