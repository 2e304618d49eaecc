"""From a data value to a number, a quality and perhaps a text; and changes of one device into scans. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from gateway.adapters.opcua.config import INTEGERS, Place
from gateway.adapters.opcua.structures import Structures
from gateway.adapters.opcua.structures import step as step_into
from muster.clock import to_us
from muster.quality import Quality
from muster.scans import NULL

_EXACT = 2**53
_CODES = ua.StatusCodes
_BAD: dict[int, Quality] = {
    _CODES.BadNoData: Quality.NO_VALUE,
    _CODES.BadNoDataAvailable: Quality.NO_VALUE,
    _CODES.BadWaitingForInitialData: Quality.NO_VALUE,
    _CODES.BadOutOfRange: Quality.OUT_OF_RANGE,
    _CODES.BadDeviceFailure: Quality.DEVICE_FAILURE,
    _CODES.BadSensorFailure: Quality.DEVICE_FAILURE,
    _CODES.BadNodeIdUnknown: Quality.REFUSED,
    _CODES.BadNodeIdInvalid: Quality.REFUSED,
    _CODES.BadAttributeIdInvalid: Quality.REFUSED,
    _CODES.BadNotReadable: Quality.REFUSED,
    _CODES.BadUserAccessDenied: Quality.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """One tag's value: the number or `NULL`, its quality, and the text where a float64 cannot hold it."""

    value: float
    quality: Quality
    text: str | None = None


def quality_of(status: int) -> Quality:
    """Return what a status code says: the severity stands in its two highest bits (OPC 10000-4 §7.39)."""
    severity = (status >> 30) & 3
    if severity == 0:
        return Quality.GOOD
    if severity == 1:
        return Quality.UNCERTAIN
    return _BAD.get(status & 0xFFFF0000, Quality.BAD)


def decode(data: ua.DataValue, place: Place, structures: Structures | None = None) -> Decoded:
    """Return what a data value says of a tag; never raises for anything that a server can send.

    structures: those of the session, for a tag within a structure of the server's own.
    """
    status = data.StatusCode
    quality = Quality.GOOD if status is None else quality_of(status.value)
    if quality >= Quality.BAD:
        return Decoded(NULL, quality)
    raw = None if data.Value is None else data.Value.Value
    for step in place.address.path:
        if isinstance(raw, ua.Variant):
            raw = raw.Value
        if isinstance(raw, ua.ExtensionObject):
            raw = None if structures is None else structures.opened(raw)
            if raw is None:
                return Decoded(NULL, Quality.UNDECODABLE)
        if isinstance(raw, list):
            if not step.isdecimal() or int(step) >= len(raw):
                return Decoded(NULL, Quality.NO_VALUE)
            raw = raw[int(step)]
        else:
            raw = step_into(raw, step)
    if raw is None:
        return Decoded(NULL, Quality.NO_VALUE)
    return _typed(raw, place, quality)


def _typed(raw: Any, place: Place, quality: Quality) -> Decoded:
    kind = place.tag.type
    if kind == "string":
        text = raw.Text if isinstance(raw, ua.LocalizedText) else raw
        if isinstance(text, str):
            return Decoded(NULL, quality, text)
    elif kind == "datetime":
        if isinstance(raw, datetime):
            return Decoded(moment_us(raw) / 1e6, quality)
    elif kind == "bool":
        if isinstance(raw, bool):
            return Decoded(float(raw), quality)
    elif kind in INTEGERS:
        if isinstance(raw, int) and not isinstance(raw, bool):
            if abs(raw) > _EXACT:
                return Decoded(NULL, quality, str(int(raw)))
            return _scaled(float(raw), place, quality)
    elif isinstance(raw, (int, float)) and not isinstance(raw, bool):
        try:
            return _scaled(float(raw), place, quality)
        except OverflowError:
            return Decoded(NULL, Quality.OUT_OF_RANGE)
    return Decoded(NULL, Quality.UNDECODABLE)


def _scaled(number: float, place: Place, quality: Quality) -> Decoded:
    """Return an engineering value; without scale and offset it keeps its bits."""
    if place.tag.scale != 1 or place.tag.offset != 0:
        number = number * place.tag.scale + place.tag.offset
    return Decoded(number, quality) if math.isfinite(number) else Decoded(NULL, Quality.OUT_OF_RANGE)


def time_of(data: ua.DataValue, received: int) -> int:
    """Return the source's time in µs since 1970; the server's where there is none, else when it came."""
    moment = data.SourceTimestamp or data.ServerTimestamp
    return received if moment is None else moment_us(moment)


def moment_us(moment: datetime) -> int:
    """Return µs since 1970 of a moment that the library gives, with or without its time zone, in UTC."""
    return to_us(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


class Groups:
    """Changes of one device, laid into one scan for each source time."""

    def __init__(self) -> None:
        self._groups: dict[int, list[dict[int, Decoded]]] = {}

    def add(self, time: int, position: int, decoded: Decoded) -> None:
        """Add a change; a second one of the same tag and time begins another scan."""
        for group in (groups := self._groups.setdefault(time, [])):
            if position not in group:
                group[position] = decoded
                return
        groups.append({position: decoded})

    def scans(self) -> list[tuple[int, int, NDArray[np.float64], NDArray[np.int16] | None]]:
        """Return (time, first position, (k,) values, (k,) qualities or None if all Good) of each scan."""
        made = []
        for time, groups in sorted(self._groups.items()):
            for group in groups:
                first = min(group)
                value = np.full(max(group) - first + 1, NULL)
                quality = np.zeros(len(value), np.int16)
                for position, decoded in group.items():
                    value[position - first] = decoded.value
                    quality[position - first] = decoded.quality
                made.append((time, first, value, quality if quality.any() else None))
        return made
