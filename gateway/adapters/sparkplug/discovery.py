"""What edge nodes offer, as things found: the metrics of births, and of what is heard without one."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.adapter import Found
from gateway.adapters.mqtt.broker import Message
from gateway.adapters.sparkplug.topics import parse
from muster.clock import SECOND_US
from muster.errors import Rejected
from muster.sparkplug import DataSet, DataType, Metric, PropertySet, Template, decode

_MOST_THINGS = 5000
_MOST_BELOW = 64
_UNITS = ("engUnit", "engUnits", "engineeringUnits", "Engineering Units", "unit", "Unit", "units", "Units")
_WORDS: dict[DataType, str] = {
    **{
        DataType[f"{kind}{bits}"]: f"{kind.lower()}{bits}"
        for kind in ("INT", "UINT")
        for bits in (8, 16, 32, 64)
    },
    DataType.FLOAT: "float32",
    DataType.DOUBLE: "float64",
    DataType.BOOLEAN: "bool",
    DataType.DATETIME: "datetime",
    DataType.STRING: "string",
    DataType.TEXT: "string",
    DataType.UUID: "string",
}
_COMMANDS = ("Node Control/", "Device Control/")


class Ear:
    """Listens a while to all edge nodes."""

    def __init__(self) -> None:
        self._births: dict[str, dict[str, Metric]] = {}
        self._aliases: dict[tuple[str, int], str] = {}
        self._values: dict[tuple[str, str], Metric] = {}
        self._heard: dict[str, list[int]] = {}
        self._unnamed: dict[str, str] = {}

    def hear(self, message: Message) -> None:
        """Take a message."""
        topic = parse(message.topic)
        if topic is None or message.retain or topic.kind.endswith("DEATH") or len(self._heard) > _MOST_THINGS:
            return
        group = group_of(topic.node.group, topic.node.name, topic.device)
        try:
            payload = decode(message.payload)
        except Rejected:
            self._unnamed[group] = "mqtt.found-unusable"
            return
        if topic.kind.endswith("BIRTH"):
            self._births[group] = {one.name: one for one in payload.metrics if one.name}
            for one in payload.metrics:
                if one.alias is not None and one.name:
                    self._aliases[group, one.alias] = one.name
            self._unnamed.pop(group, None)
            return
        self._heard.setdefault(group, []).append(message.received)
        for one in payload.metrics:
            name = one.name or (self._aliases.get((group, one.alias)) if one.alias is not None else None)
            if name is None:
                self._unnamed[group] = "sparkplug.found-unnamed"
            elif len(self._values) < _MOST_THINGS:
                self._values[group, name] = one

    def found(self, search: str) -> list[Found]:
        """Return what was heard, of which path contains `search` in any case of letters."""
        things: list[Found] = []
        for group in sorted({*self._births, *self._heard, *self._unnamed}):
            metrics = dict(self._births.get(group, {}))
            for (where, name), one in self._values.items():
                if where == group and name not in metrics:
                    metrics[name] = one
            times = self._heard.get(group, [])
            span = times[-1] - times[0] if len(times) > 1 else None
            interval_s = None if span is None else round(span / SECOND_US / (len(times) - 1), 3)
            if group in self._unnamed:
                things.append(Found(group, group, "string", {}, group, note=self._unnamed[group]))
            things += things_of(group, metrics, interval_s)
        wanted = search.casefold()
        return [one for one in things if wanted in one.path.casefold()]


def group_of(group: str, node: str, device: str | None) -> str:
    """Return how an edge node or device is written for people."""
    return "/".join(part for part in (group, node, device) if part is not None)


def things_of(group: str, metrics: Mapping[str, Metric], interval_s: float | None = None) -> list[Found]:
    """Return the metrics of one edge node or device that can be tags."""
    things: list[Found] = []
    for name, metric in metrics.items():
        if len(things) >= _MOST_THINGS:
            break
        note = "sparkplug.found-command" if name.startswith(_COMMANDS) else ""
        for below, kind, value in _leaves(metric.datatype, metric.value, (), 0):
            word = _WORDS.get(kind)
            if word is None:
                continue
            path = "/".join([group, name, *(str(step) for step in below["path"])])
            address = {"metric": name, **{key: one for key, one in below.items() if key != "path"}}
            shown = _shown(kind, value)
            unit = _unit(metric.properties)
            things.append(
                Found(
                    path,
                    path.removeprefix(f"{group}/"),
                    word,
                    address,
                    group,
                    unit,
                    False,
                    shown,
                    interval_s,
                    note,
                )
            )
    return things


def _leaves(
    kind: DataType, value: Any, members: tuple[str, ...], depth: int
) -> Iterator[tuple[dict[str, Any], DataType, Any]]:
    """Walk what stands in a metric; each leaf with the rest of its address and, as `path`, what people read."""
    own: dict[str, Any] = {"member": list(members)} if members else {}
    if isinstance(value, Template):
        for metric in value.metrics[:_MOST_BELOW] if depth < 8 else []:
            yield from _leaves(metric.datatype, metric.value, (*members, metric.name), depth + 1)
    elif isinstance(value, DataSet):
        for row, cells in enumerate(value.rows[:_MOST_BELOW]):
            for column, datatype, cell in zip(value.columns, value.types, cells, strict=True):
                yield {**own, "column": column, "row": row, "path": [*members, column, row]}, datatype, cell
    elif isinstance(value, tuple):
        element = DataType[kind.name.removesuffix("ARRAY")]
        for index, one in enumerate(value[:_MOST_BELOW]):
            yield {**own, "index": index, "path": [*members, index]}, element, one
    else:
        yield {**own, "path": list(members)}, kind, value


def _shown(kind: DataType, value: Any) -> float | str | None:
    if isinstance(value, bool):
        return float(value)
    if kind is DataType.DATETIME and isinstance(value, int):
        return value / 1000
    return value if isinstance(value, int | float | str) else None


def _unit(properties: PropertySet) -> str:
    found = (properties[name].value for name in _UNITS if name in properties)
    return next((one[:40] for one in found if isinstance(one, str)), "")
