"""From a metric to tags' values: strict, so that what does not fit gives a quality and never a number. Pure."""

from math import isfinite
from typing import Any

from gateway.adapters.mqtt.values import Converted, convert
from gateway.adapters.sparkplug.config import Address, Place
from muster.clock import EARLIEST_US, LATEST_US
from muster.quality import Quality
from muster.scans import NULL
from muster.sparkplug import DataSet, DataType, Metric, PropertySet, Template

_STALE = 500
_ABSENT = object()
_WRONG: tuple[Any, ...] = ()
"""A value that no tag can have."""


def converted(metric: Metric, datatype: DataType, value: Any, place: Place) -> Converted | None:
    """Return a tag's number (`NULL` when none), quality and text; None when a part does not hold the tag's metric.

    value: the metric's, by its datatype; `metric` says what it is worth.
    """
    if place.bare and type(value) is float and not (metric.properties or metric.problem) and isfinite(value):
        return value, 0, None
    if metric.problem:
        return NULL, int(Quality.UNDECODABLE), None
    worth = quality_of(metric.properties) if metric.properties else 0
    if worth >= Quality.BAD:
        return NULL, worth, None
    if value is None:
        return NULL, int(Quality.NO_VALUE), None
    if not place.plain:
        datatype, value = _below(datatype, value, place.address)
        if value is _ABSENT:
            return None
    if place.direct and type(value) is float and isfinite(value):
        return value, worth, None
    number, quality, text = _typed(datatype, value, place)
    return number, quality or worth, text


def quality_of(properties: PropertySet) -> int:
    """Return what a metric's Quality property says; Good without one.

    It is 0, 192 or 500 for bad, good and stale in Sparkplug, and the classic OPC quality byte of many gateways.
    """
    said = properties.get("Quality")
    if said is None or type(said.value) is not int:
        return int(Quality.GOOD)
    if said.value == _STALE or 64 <= said.value < 192 or said.value > 255:
        return int(Quality.UNCERTAIN)
    return int(Quality.GOOD if said.value >= 192 else Quality.BAD)


def time_us(milliseconds: int) -> int | None:
    """Return a time on the wire in µs since 1970; None beyond the years that can be kept."""
    us = milliseconds * 1000
    return us if EARLIEST_US <= us <= LATEST_US else None


def _typed(datatype: DataType, value: Any, place: Place) -> Converted:
    tag = place.tag
    if tag.type == "datetime" and value is not None:
        if datatype is not DataType.DATETIME or time_us(value) is None:
            return NULL, int(Quality.UNDECODABLE), None
        return value / 1000, int(Quality.GOOD), None
    if value is None:
        return NULL, int(Quality.NO_VALUE), None
    if not isinstance(value, bool | int | float | str):
        return NULL, int(Quality.UNDECODABLE), None
    number, quality, text = convert(value, tag.type)
    if quality == 0 and text is None and (tag.scale != 1 or tag.offset != 0):
        number = number * tag.scale + tag.offset
        if not isfinite(number):
            return NULL, int(Quality.OUT_OF_RANGE), None
    return number, quality, text


def _below(datatype: DataType, value: Any, address: Address) -> tuple[DataType, Any]:
    """Return what stands at an address within a value: its datatype and value, None for none, or `_ABSENT`."""
    for name in address.member:
        if not isinstance(value, Template):
            return DataType.UNKNOWN, _WRONG
        found = next((one for one in value.metrics if one.name == name), None)
        if found is None:  # a template may bring only the members that changed
            return DataType.UNKNOWN, _ABSENT
        datatype, value = found.datatype, found.value
        if quality_of(found.properties) >= Quality.BAD:
            return datatype, None
    if address.column is not None:
        if not isinstance(value, DataSet):
            return DataType.UNKNOWN, _WRONG
        row = address.row or 0
        if address.column not in value.columns or row >= len(value.rows):
            return DataType.UNKNOWN, None
        at = value.columns.index(address.column)
        return value.types[at], value.rows[row][at]
    if address.index is not None:
        if not isinstance(value, tuple):
            return DataType.UNKNOWN, _WRONG
        kind = DataType.DATETIME if datatype is DataType.DATETIMEARRAY else DataType.UNKNOWN
        return kind, value[address.index] if address.index < len(value) else None
    return datatype, value
