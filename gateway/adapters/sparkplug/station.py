"""One device as the room sees it: the outcomes of its edge node's messages become scans and events."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from operator import itemgetter
from typing import Any

import numpy as np

from gateway.adapter import Diagnostics, Sink, Value
from gateway.adapters.mqtt.awaiting import Watchers
from gateway.adapters.mqtt.values import Converted
from gateway.adapters.sparkplug.config import Understood
from gateway.adapters.sparkplug.identification import facts_of, origin_of
from gateway.adapters.sparkplug.outcomes import Measured, Reading, Scope
from gateway.adapters.sparkplug.values import converted, time_us
from muster.clock import SECOND_US
from muster.device import Device
from muster.events import Event, TextReading
from muster.presence import NEVER
from muster.scans import NULL, NULL_BITS, How
from muster.sparkplug import Metric

_ANSWER_EVERY_US = SECOND_US
_ERROR_EVERY_US = 5 * SECOND_US
_AHEAD_US = 60 * SECOND_US
_WIDEST_HOLE = 32
"""Positions that may stand empty in a scan before another one is begun."""

Group = dict[int, Converted]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the numbers of metrics with these names become one scan; pack: None where they do not."""

    names: tuple[str, ...]
    positions: list[int]
    pack: Callable[[tuple[float, ...]], bytes] | None


class Station:
    """A device that is an edge node, or one of an edge node's."""

    def __init__(self, device: Device, understood: Understood, sink: Sink) -> None:
        self.device = device
        self.understood = understood
        self.scope: Scope = understood.connection.device
        self.watchers: Watchers = []
        self.metrics: Mapping[str, Metric] = {}
        """What the last birth said that there is, by name; empty while it is not born."""
        self.known = asyncio.Event()
        """Set while `metrics` is what the last birth said."""
        self._node_metrics: Mapping[str, Metric] = {}
        self._sink = sink
        self._number = device.number
        self._newest: dict[int, int] = {}
        self._latest = NEVER
        """The newest time in `_newest`."""
        self._plan = _Plan((), [], None)
        self._offset_us = 0
        self._report = Diagnostics()
        self._error: tuple[str, dict[str, Any]] = ("", {})
        self._error_us = 0
        self._answer_us = 0
        self._alive = False

    # What the host machine found.

    def up(self, at: int) -> None:
        """Say that its session is up."""
        self._report.session = "up"
        self._sink.event(Event("session_up", self._number, at))

    def down(self, reason: str, detail: dict[str, Any], at: int) -> None:
        """Say that its session ended, or that none can be seen."""
        if reason.startswith("sparkplug."):
            self.metrics = {}
            self.known.clear()
        self._report.session = "down"
        self._count(reason)
        self._sink.event(Event("session_down", self._number, at, reason=reason, detail=dict(detail)))

    def alive(self) -> None:
        """Note that it speaks."""
        self._report.polls += 1
        self._alive = True

    def settle(self, at: int) -> None:
        """Say that it answers, at most once a second, when what it said held no Good value."""
        alive, self._alive = self._alive, False
        if alive and at - self._answer_us >= _ANSWER_EVERY_US:
            self._answer_us = at
            self._sink.event(Event("answer", self._number, at))

    def born(self, scope: Scope, metrics: Mapping[str, Metric], at: int) -> None:
        """Take what a birth, its own or its edge node's, says that there is and what it is."""
        if scope is None:
            self._node_metrics = metrics
        if scope == self.scope:
            self.metrics = metrics
            self.known.set()
            missing = self.understood.places.keys() - metrics.keys()
            if missing:
                self.trouble("sparkplug.metric-missing", {"metric": min(missing)[:200]}, at)
        named = self.understood.connection.identity
        above = {} if self.scope is None else facts_of(self._node_metrics, {})
        facts = above | facts_of(self.metrics, named)
        if facts and facts != self._report.identity:
            self._report.identity = dict(facts)
            event = Event("identity", self._number, at, detail=dict(facts), origin=origin_of(facts))
            self._sink.event(event)

    def measured(self, said: Measured, received: int) -> None:
        """Take values that were read at once: nearly always they are one scan of Good values, in one go, too."""
        plan = self._plan
        if plan.names is not said.names:
            plan = self._plan = _planned(said.names, self.understood)
        numbers = said.numbers
        time = time_us(numbers.time_ms)
        if (
            plan.pack is None
            or self.watchers
            or time is None
            or not self._latest < time <= received + self._offset_us + _AHEAD_US
            or not isfinite(sum(numbers.values))
        ):
            self.values(said.readings(), numbers.timestamp_ms, True, received)
            return
        self._latest = time
        self._newest |= dict.fromkeys(plan.positions, time)
        self._sink.good(
            self._number, time, received, plan.positions[0], plan.pack(numbers.values), How.UNSOLICITED
        )
        self._live(received, good=True)

    def values(self, readings: list[Reading], sent_ms: int | None, live: bool, received: int) -> None:
        """Take the values of a message, as one scan for each of its source times."""
        places, newest = self.understood.places, self._newest
        groups: dict[tuple[int, How], list[Group]] = {}
        several: list[Group] = []
        latest = received + self._offset_us + _AHEAD_US
        last_time, last_how = NEVER, How.HISTORY
        read_ms: int | None = None
        time: int | None = received
        for reading in readings:
            wanted = places.get(reading.name)
            if wanted is None:
                continue
            metric = reading.metric
            said_ms = sent_ms if metric.timestamp_ms is None else metric.timestamp_ms
            if said_ms != read_ms:
                read_ms = said_ms
                time = received if said_ms is None else time_us(said_ms)
            if time is None or metric.problem:
                problem = f"{reading.name}: {metric.problem or said_ms}"[:200]
                self.trouble("sparkplug.payload-unusable", {"problem": problem}, received)
                if time is None:
                    continue
            history = not live or metric.is_historical
            for place in wanted:
                found = converted(metric, reading.datatype, reading.value, place)
                if found is None:
                    continue
                position = place.tag.position
                how = How.HISTORY
                if not history and time > newest.get(position, NEVER):
                    if (
                        time <= latest
                    ):  # one wrong time in the future must not make history of all that follows
                        newest[position] = time
                        self._latest = max(self._latest, time)
                    how = How.UNSOLICITED
                if not several or last_time != time or last_how is not how:
                    last_time, last_how = time, how
                    several = groups.setdefault((time, how), [{}])
                if position in several[0]:
                    _lay(several, position, found)
                else:
                    several[0][position] = found
        for (time, how), several in sorted(groups.items()):
            for group in several:
                self._put(group, time, received, how)

    def _put(self, group: Group, time: int, received: int, how: How) -> None:
        good = False
        for part in _parts(group):
            first = min(part)
            size = max(part) - first + 1
            value = [NULL] * size
            marks: list[int] | None = None
            for position, (number, worth, text) in part.items():
                value[position - first] = number
                if worth:
                    marks = marks or [0] * size
                    marks[position - first] = worth
                else:
                    good = True
                if text is not None:
                    self._sink.text(TextReading(self._number, position, time, received, text, worth))
            quality = None if marks is None else np.array(marks, np.int16)
            self._sink.scan(self._number, time, received, first, np.array(value), quality, how)
        if how is How.HISTORY:
            return
        self._live(received, good)
        if self.watchers:
            values = [_value(position, one, time, received) for position, one in group.items()]
            for told in tuple(self.watchers):
                told(values)

    def _live(self, received: int, good: bool) -> None:
        self._report.answers += 1
        self._alive = False  # the scan says so
        if good:
            self._report.last_good = received
            self._error = ("", {})

    def trouble(self, reason: str, detail: dict[str, Any], at: int) -> None:
        """Say what is wrong, when it is news."""
        self._count(reason)
        if (reason, detail) != self._error or at - self._error_us >= _ERROR_EVERY_US:
            self._error, self._error_us = (reason, detail), at
            self._sink.event(Event("error", self._number, at, reason=reason, detail=dict(detail)))

    def missed(self, since: int, until: int, reason: str) -> None:
        """List what was never heard."""
        self._sink.event(Event("gap", self._number, since, until, reason))

    def clock_off(self, offset_us: int, accuracy_us: int, at: int) -> None:
        """Say how its edge node's clock differs from ours; what is newest is told by the new one from now on."""
        self._newest.clear()
        self._latest = NEVER
        self._offset_us = offset_us
        detail = {"offset_us": offset_us, "accuracy_us": accuracy_us}
        self._sink.event(Event("clock", self._number, at, detail=detail))

    def report(self) -> Diagnostics:
        """Return the counters: `polls` are messages, `answers` scans of live values."""
        return self._report

    def _count(self, reason: str) -> None:
        self._report.errors[reason] = self._report.errors.get(reason, 0) + 1
        self._report.last_error = reason


def _planned(names: tuple[str, ...], understood: Understood) -> _Plan:
    wanted = [(place, index) for index, name in enumerate(names) for place in understood.places.get(name, ())]
    wanted.sort(key=lambda one: one[0].tag.position)
    positions = [place.tag.position for place, _ in wanted]
    in_a_row = bool(positions) and positions == list(range(positions[0], positions[0] + len(positions)))
    if not in_a_row or not all(place.bare for place, _ in wanted):
        return _Plan(names, positions, None)
    indices = [index for _, index in wanted]
    pack = struct.Struct(f"={len(indices)}d").pack
    if len(indices) == 1:
        return _Plan(names, positions, lambda values: pack(values[indices[0]]))
    pick = itemgetter(*indices)
    return _Plan(names, positions, lambda values: pack(*pick(values)))


def _lay(groups: list[Group], position: int, found: Converted) -> None:
    """Put a value into the first group that has none for its position: a second one is another scan."""
    for group in groups:
        if position not in group:
            group[position] = found
            return
    groups.append({position: found})


def _parts(group: Group) -> list[Group]:
    """Return a group cut where many positions in a row are empty."""
    if max(group) - min(group) < len(group) + _WIDEST_HOLE:
        return [group]
    parts: list[Group] = []
    last = 0
    for position in sorted(group):
        if not parts or position - last > _WIDEST_HOLE:
            parts.append({})
        parts[-1][position] = group[position]
        last = position
    return parts


def _value(position: int, found: Converted, time: int, received: int) -> Value:
    number, quality, text = found
    value: float | str | None = text
    if text is None and np.float64(number).view(np.uint64) != NULL_BITS:
        value = number
    return Value(position, value, quality, time, received)
