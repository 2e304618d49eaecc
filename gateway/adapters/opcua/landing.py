"""What is watched in a session, by client handle; and the laying of its changes into scans, all at once.

The rules are those of `decode.py`, which also takes whatever is no plain number; a property test holds both equal.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from gateway.adapters.opcua.changes import ABSENT, NOTHING, Changes, Few, microseconds
from gateway.adapters.opcua.config import INTEGERS, TEXTS, Place
from gateway.adapters.opcua.decode import decode, quality_of
from gateway.adapters.opcua.station import Station
from muster.events import TextReading
from muster.quality import Quality
from muster.scans import NULL, How

_TEXT, _PART, _BOOL, _INTEGER, _NUMBER, _MOMENT = range(6)
_KINDS: dict[int, tuple[int, ...]] = {
    _TEXT: (),
    _PART: (),
    _BOOL: (1,),
    _INTEGER: tuple(range(2, 10)),
    _NUMBER: tuple(range(2, 12)),
    _MOMENT: (13,),
}
_QUALITY = np.full((len(_KINDS), 256), Quality.UNDECODABLE, np.int16)
for _rule, _kinds in _KINDS.items():
    _QUALITY[_rule, list(_kinds)] = Quality.GOOD
_QUALITY[:, NOTHING] = _QUALITY[_PART, :] = Quality.NO_VALUE
_OVERFLOW_MASK, _OVERFLOW = 0x0C80, 0x0480  # InfoType DataValue with its Overflow bit (OPC 10000-4 §7.39)
_NOBODY = 0
_MOST_USUAL = 256
_COLUMNS = np.dtype(
    [
        ("owner", np.int32),
        ("position", np.int32),
        ("rule", np.uint8),
        ("scaled", np.bool_),
        ("scale", np.float64),
        ("offset", np.float64),
    ]
)


_Key = tuple[tuple[int, ...], bytes] | tuple[bytes, int]


class _Run(NamedTuple):
    """Changes of one station, from `begin` to `end`. places: of each behind `first`, where tags between them lack."""

    station: Station
    first: int
    begin: int
    end: int
    places: NDArray[np.int32] | None


class Watched:
    """Stations and their places, by the client handles that they were given in this session."""

    def __init__(self) -> None:
        self._stations: list[Station | None] = [None]
        self._places: list[Place | None] = [None]
        self._grow(np.zeros(64, _COLUMNS))
        self._any_scaled = False
        self._usual: dict[_Key, list[_Run]] = {}

    def add(self, station: Station) -> range:
        """Return the handles of a station's places, in their order."""
        places = station.understood.places
        handles = range(len(self._places), len(self._places) + len(places))
        if handles.stop > len(self._table):
            self._grow(np.concatenate([self._table, np.zeros(2 * handles.stop, _COLUMNS)]))
        self._places += places
        self._stations.append(station)
        self._usual.clear()
        for handle, place in zip(handles, places, strict=True):
            tag, rule = place.tag, _rule_of(place)
            scaled = rule in (_INTEGER, _NUMBER) and (tag.scale != 1 or tag.offset != 0)
            owner = len(self._stations) - 1
            self._table[handle] = (owner, tag.position, rule, scaled, tag.scale, tag.offset)
            self._any_scaled |= scaled
        return handles

    def drop(self, station: Station) -> None:
        """Forget a station; what still comes for it is not kept."""
        if station not in self._stations:
            return
        number = self._stations.index(station)
        handles = np.flatnonzero(self._owner == number)
        self._owner[handles] = _NOBODY
        self._usual.clear()
        self._stations[number] = None
        for handle in handles.tolist():
            self._places[handle] = None

    def clear(self) -> None:
        """Forget all."""
        self.__init__()  # type: ignore[misc]

    def take(self, changes: Changes | Few, received: int) -> None:
        """Put changes that came at `received` µs into their stations' sink, one scan for each source time."""
        if self._take_usual(changes, received):
            return
        if isinstance(changes, Few):
            changes = changes.columns()
        handle = changes.handle.astype(np.intp)
        if int(handle.max()) >= len(self._table):
            handle[handle >= len(self._table)] = _NOBODY
        owner, time = self._owner[handle], changes.times(received)
        value, quality = self._judged(handle, changes)
        self._tell_overflow(owner, changes, received)
        self._take_others(handle, changes, value, quality, time, received)
        self._lay(owner, time, self._position[handle], value, quality, received)

    def _take_usual(self, changes: Changes | Few, received: int) -> bool:
        """Put what is usual at once, good numbers of which those of each device have one time; whether it was done."""
        key: _Key
        if isinstance(changes, Few):
            key = changes.handle, changes.kinds
        elif changes.status is None and not changes.others and isinstance(changes.kind, int):
            key = changes.handle.tobytes(), changes.kind
        else:
            return False
        runs = self._usual.get(key)
        if runs is None:
            if len(self._usual) >= _MOST_USUAL:
                self._usual.clear()
            runs = self._usual[key] = self._find_runs(changes)
        if not runs:
            return False
        source: Sequence[int]
        if isinstance(changes, Few):
            source, value = changes.source, np.array(changes.value, np.float64)
        elif changes.source is not None and np.isfinite(changes.value).all():
            source, value = changes.source.tolist(), changes.value
        else:
            return False
        scans = []
        for run in runs:
            time = source[run.begin]
            if time == ABSENT or source[run.begin : run.end].count(time) != run.end - run.begin:
                return False
            values = value[run.begin : run.end]
            if run.places is not None:
                values, _ = _spread(run.places, values, None)
            scans.append((run, microseconds(time), values))
        if runs[0].station.sink.full:  # that of all; the gateway itself lists the gap of a full outbox
            return True
        for run, time, values in scans:
            run.station.sink.scan(
                run.station.device.number, time, received, run.first, values, None, How.UNSOLICITED
            )
            run.station.answered(received, True)
        return True

    def _find_runs(self, changes: Changes | Few) -> list[_Run]:
        """Return whose tags these changes are, if each device's stand together in the order of their positions.

        And if values of their kinds are what the tags hold, as they stand. None where they are not.
        """
        kinds = np.frombuffer(changes.kinds, np.uint8) if isinstance(changes, Few) else changes.kind
        handle = np.array(changes.handle, np.intp)
        if int(handle.max()) >= len(self._places):
            return []
        owner, position = self._owner[handle], self._position[handle]
        plain = (_QUALITY[self._rule[handle], kinds] == Quality.GOOD) & ~self._scaled[handle]
        same = owner[1:] == owner[:-1]
        if not plain.all() or (same & (position[1:] <= position[:-1])).any():
            return []
        begins = [0, *(np.flatnonzero(~same) + 1).tolist(), len(handle)]
        runs, numbers = [], set()
        for begin, end in pairwise(begins):
            number = int(owner[begin])
            station = self._stations[number]
            if station is None or number in numbers:
                return []
            numbers.add(number)
            first, last = int(position[begin]), int(position[end - 1])
            places = position[begin:end] - first if last - first >= end - begin else None
            runs.append(_Run(station, first, begin, end, places))
        return runs

    def _grow(self, table: NDArray[np.void]) -> None:
        self._table = table
        self._owner, self._position, self._rule = (table[name] for name in ("owner", "position", "rule"))
        self._scaled, self._scale, self._offset = (table[name] for name in ("scaled", "scale", "offset"))

    def _judged(
        self, handle: NDArray[np.intp], changes: Changes
    ) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """Return the (n,) engineering values, NULL where there is none, and their qualities."""
        value = changes.value
        quality: NDArray[np.int16] = _QUALITY[self._rule[handle], changes.kind]
        if self._any_scaled:
            with np.errstate(over="ignore", invalid="ignore"):
                converted = value * self._scale[handle] + self._offset[handle]
            value = np.where(self._scaled[handle], converted, value)
        finite = np.isfinite(value)
        if not finite.all():
            quality[~finite & (quality == Quality.GOOD)] = Quality.OUT_OF_RANGE
        if changes.status is not None:
            severity = changes.status >> 30
            quality[(severity == 1) & (quality == Quality.GOOD)] = Quality.UNCERTAIN
            for code in np.unique(changes.status[severity > 1]).tolist():
                quality[changes.status == code] = quality_of(code)
        if quality.any():
            value = np.where(quality >= Quality.BAD, NULL, value)
        return value, quality

    def _take_others(
        self,
        handle: NDArray[np.intp],
        changes: Changes,
        value: NDArray[np.float64],
        quality: NDArray[np.int16],
        time: NDArray[np.int64],
        received: int,
    ) -> None:
        """Put in place what is no plain number, and texts into the sink."""
        for at, variant in changes.others.items():
            station = self._stations[self._owner[handle[at]]]
            if station is None or station.sink.full:
                continue  # also where a server made the handle up
            place = self._places[handle[at]]
            assert place is not None
            status = 0 if changes.status is None else int(changes.status[at])
            said = decode(ua.DataValue(variant, ua.StatusCode(status)), place, station.structures)
            value[at], quality[at] = said.value, said.quality
            if said.text is not None:
                number, position = station.device.number, place.tag.position
                station.sink.text(
                    TextReading(number, position, int(time[at]), received, said.text, int(said.quality))
                )

    def _tell_overflow(self, owner: NDArray[np.int32], changes: Changes, received: int) -> None:
        """List a gap where the server's queue was too short for what changed between two notifications."""
        if changes.status is None:
            return
        over = (changes.status & _OVERFLOW_MASK) == _OVERFLOW
        for number in np.unique(owner[over]).tolist():
            station = self._stations[number]
            if station is not None:
                station.missed(None, received, "opcua.queue-overflow")

    def _lay(
        self,
        owner: NDArray[np.int32],
        time: NDArray[np.int64],
        position: NDArray[np.int32],
        value: NDArray[np.float64],
        quality: NDArray[np.int16],
        received: int,
    ) -> None:
        """Put scans, those of a station in the order of their times; a tag's second value of one time in another."""
        order = np.lexsort((position, time, owner))
        owner, time, position = owner[order], time[order], position[order]
        new = (owner[1:] != owner[:-1]) | (time[1:] != time[:-1])
        again = ~new & (position[1:] == position[:-1])
        if again.any():
            apart = _ranked(again)
            new_order = np.lexsort((position, apart, time, owner))
            owner, time, position = owner[new_order], time[new_order], position[new_order]
            apart, order = apart[new_order], order[new_order]
            new = (owner[1:] != owner[:-1]) | (time[1:] != time[:-1]) | (apart[1:] != apart[:-1])
        value, quality = value[order], quality[order]
        begin = np.concatenate([[0], np.flatnonzero(new) + 1])
        end = np.append(begin[1:], len(owner))
        all_good = not quality.any()
        good: dict[int, bool] = {}
        for number, at, first, last, a, b in zip(
            owner[begin].tolist(),
            time[begin].tolist(),
            position[begin].tolist(),
            position[end - 1].tolist(),
            begin.tolist(),
            end.tolist(),
            strict=True,
        ):
            station = self._stations[number]
            if station is None or station.sink.full:
                continue  # the gateway itself lists the gap of a full outbox
            values, qualities = value[a:b], None if all_good else quality[a:b]
            good[number] = good.get(number, False) or qualities is None or not qualities.all()
            if qualities is not None and not qualities.any():
                qualities = None
            if last - first >= b - a:
                values, qualities = _spread(position[a:b] - first, values, qualities)
            station.sink.scan(station.device.number, at, received, first, values, qualities, How.UNSOLICITED)
        for number, any_good in good.items():
            station = self._stations[number]
            assert station is not None
            station.answered(received, any_good)


def _rule_of(place: Place) -> int:
    if place.address.path:
        return _PART
    kind = place.tag.type
    if kind in TEXTS:
        return _TEXT
    if kind in INTEGERS:
        return _INTEGER
    return {"bool": _BOOL, "datetime": _MOMENT}.get(kind, _NUMBER)


def _ranked(again: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each of n sorted changes the how-manieth of its tag and time it is. again: (n - 1,)."""
    index = np.arange(len(again) + 1)
    begun = np.concatenate([[0], np.where(again, 0, index[1:])])
    ranked: NDArray[np.intp] = index - np.maximum.accumulate(begun)
    return ranked


def _spread(
    place: NDArray[np.int32], values: NDArray[np.float64], qualities: NDArray[np.int16] | None
) -> tuple[NDArray[np.float64], NDArray[np.int16] | None]:
    """Return values, and qualities, at their places, nothing between them."""
    wide = np.full(int(place[-1]) + 1, NULL)
    wide[place] = values
    if qualities is None:
        return wide, None
    wide_qualities = np.zeros(len(wide), np.int16)
    wide_qualities[place] = qualities
    return wide, wide_qualities
