"""From a payload to readings: pure, compiled once per topic filter.

`quick` reads payloads that have every tag as a number of its type, as nearly all have; `read` reads any. What both can
read they read alike. Where a payload has to be read whole, for its records or its identity, tags under one parent share
the walk to it, and where all of them are float64 and all are there, they are read in one go.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.adapters.mqtt.paths import MISSING, Path, walk
from gateway.adapters.mqtt.shapes import shape_of
from gateway.adapters.mqtt.values import convert
from muster.clock import EARLIEST_US, LATEST_US, to_us
from muster.errors import Rejected
from muster.quality import Quality
from muster.scans import NULL

Unit = Literal["iso", "s", "ms", "us", "ns"]
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
_TICKS_US = {"s": 1_000_000, "ms": 1000, "us": 1}
_NUMBERS = frozenset({float, int})
_MOST_RECORDS = 10_000
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a source time stands and how it is written."""

    path: Path
    unit: Unit

    def meaning(self, raw: Any) -> int:
        """Return the source time in µs since 1970 of what stands there. Raises Rejected when it is no time."""
        try:
            if type(raw) is int and self.unit != "iso":
                time = raw * 1_000_000 // _PER_SECOND[self.unit]
            elif self.unit == "iso":
                time = to_us(datetime.fromisoformat(raw))
            elif isinstance(raw, bool) or not isinstance(raw, int | float | str):
                raise ValueError("no number")
            else:
                number = (
                    int(raw)
                    if isinstance(raw, str) and raw.isdigit()
                    else float(raw)
                    if isinstance(raw, str)
                    else raw
                )
                per_second = _PER_SECOND[self.unit]
                if isinstance(number, int):
                    time = number * 1_000_000 // per_second
                else:
                    if not math.isfinite(number):
                        raise ValueError("not finite")
                    time = round(number * 1_000_000 / per_second)
        except (ValueError, TypeError, OverflowError) as error:
            raise Rejected(f"{self.path.text} = {raw!r:.60}: {error}") from error
        if not EARLIEST_US <= time <= LATEST_US:
            raise Rejected(f"{self.path.text} = {raw!r:.60}: outside the years 1 to 9999")
        return time


@dataclass(frozen=True, slots=True)
class Target:
    """One tag in a payload."""

    position: int
    type: str
    path: Path
    scale: float = 1.0
    offset: float = 0.0


@dataclass(slots=True)
class Record:
    """One scan of a payload: time in µs or None when the payload does not say; texts: position, text."""

    time: int | None
    first: int
    value: NDArray[np.float64]
    quality: NDArray[np.int16] | None
    texts: list[tuple[int, str]]


@dataclass(slots=True)
class Read:
    """What a payload held; problems: of records that could not be used."""

    document: Any
    records: list[Record]
    problems: Sequence[str] = ()


class Mapping:
    """The tags of one device in the payloads of one topic filter."""

    def __init__(
        self,
        targets: Sequence[Target],
        stamp: Stamp | None = None,
        records: Path | None = None,
        identity: dict[str, Path] | None = None,
        text: bool = False,
        max_bytes: int = 256 << 10,
    ) -> None:
        self.stamped = stamp is not None
        self._tick_us = _TICKS_US.get(stamp.unit, 0) if stamp else 0
        self._stamp, self._records, self._text, self._max_bytes = stamp, records, text, max_bytes
        self._identity = identity or {}
        self.identifies = bool(identity)
        self._first = targets[0].position if targets else 1
        self._size = targets[-1].position - self._first + 1 if targets else 0
        self._targets = list(targets)
        scale, offset = np.ones(self._size), np.zeros(self._size)
        for one in targets:
            scale[one.position - self._first], offset[one.position - self._first] = one.scale, one.offset
        self._scaled = bool((scale != 1).any() or (offset != 0).any())
        self._scale, self._offset = scale, offset
        groups: dict[tuple[str | int, ...], list[tuple[str | int, int, str]]] = {}
        self._others: list[tuple[int, str, Path]] = []
        for one in targets:
            index = one.position - self._first
            if one.path.keys:
                groups.setdefault(one.path.keys[:-1], []).append((one.path.keys[-1], index, one.type))
            else:
                self._others.append((index, one.type, one.path))
        self._groups = list(groups.items())
        self._unused = self._size - len(targets)
        plain = [(one.path.keys, one.type) for one in targets if one.path.keys is not None]
        self._shape = None
        if (
            len(plain) == self._size
            and (stamp is None or stamp.path.keys is not None)
            and not (records or identity or text)
        ):
            self._shape = shape_of(tuple(plain), stamp.path.keys if stamp else None)
        self._numbers = None if self._shape is not None else _numbers_of(targets)

    @property
    def first(self) -> int:
        """The position of the first tag, with which what `quick` reads begins."""
        return self._first

    def quick(self, payload: bytes) -> tuple[int | None, bytes] | None:
        """Return a payload's time and the values of all tags, each Good, as the bytes of float64.

        None: it has to be read whole. Raises Rejected for a wrong timestamp.
        """
        shape = self._shape
        if shape is None or len(payload) > self._max_bytes or (found := shape.read(payload)) is None:
            return None
        raw, values = found
        if self._scaled:
            with np.errstate(over="ignore"):
                numbers = np.frombuffer(values) * self._scale + self._offset
            if not np.isfinite(numbers).all():
                return None
            values = numbers.tobytes()
        stamp = self._stamp
        if stamp is None:
            return None, values
        tick_us = self._tick_us
        if tick_us and type(raw) is int and EARLIEST_US <= (time := raw * tick_us) <= LATEST_US:
            return time, values
        return stamp.meaning(raw), values

    def read(self, payload: bytes) -> Read:
        """Decode a payload. Raises Rejected saying why it is none that can be used."""
        document = self.document(payload)
        if self._shape is not None:
            self._shape = self._shape.grown(document) or self._shape
        if self._records is None:
            record = self._record(document)
            return Read(document, [] if record is None else [record])
        parts = self._records.all(document)
        if len(parts) == 1 and isinstance(parts[0], list):
            parts = parts[0]
        if len(parts) > _MOST_RECORDS:
            raise Rejected(f"{len(parts)} records, more than {_MOST_RECORDS}")
        records: list[Record] = []
        problems: list[str] = []
        for part in parts:
            try:
                record = self._record(part)
            except Rejected as error:
                problems.append(str(error))
            else:
                if record is not None:
                    records.append(record)
        return Read(document, records, problems)

    def document(self, payload: bytes) -> Any:
        """Decode a payload, without looking for anything in it. Raises Rejected."""
        if len(payload) > self._max_bytes:
            raise Rejected(f"{len(payload)} bytes, more than payload.max_bytes = {self._max_bytes}")
        try:
            document = payload.decode("utf-8") if self._text else _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Rejected(str(error)) from error
        return document

    def identity(self, document: Any) -> dict[str, str]:
        """Return the facts by which a payload says what the device is."""
        found = {name: path.one(document) for name, path in self._identity.items()}
        return {
            name: str(value)[:200] for name, value in found.items() if isinstance(value, str | int | float)
        }

    def _record(self, document: Any) -> Record | None:
        """Return one scan, None when no tag is in it. Raises Rejected for a wrong timestamp."""
        if self._numbers is not None and (numbers := self._numbers(document)) is not None:
            if self._scaled:
                with np.errstate(over="ignore"):
                    numbers = numbers * self._scale + self._offset
            if not self._scaled or np.isfinite(numbers).all():
                return Record(self._time(document), self._first, numbers, None, [])
        value: list[float] = [NULL] * self._size
        quality: list[int] | None = None
        texts: list[tuple[int, str]] = []
        low, high, found = self._size, -1, 0
        for index, kind, raw in self._raw(document):
            found += 1
            if index < low:
                low = index
            if index > high:
                high = index
            if type(raw) is float and kind == "float64":
                value[index] = raw
                continue
            value[index], how, text = convert(raw, kind)
            if text is not None:
                texts.append((self._first + index, text))
            if how != 0:
                if quality is None:
                    quality = [0] * self._size
                quality[index] = how
        if not found:
            return None
        time = self._time(document)
        array = np.array(value[low : high + 1])
        if found + self._unused < self._size or quality is not None:
            marks = np.zeros(self._size, np.int16) if quality is None else np.array(quality, np.int16)
            self._mark_missing(marks, document)
            cut = marks[low : high + 1]
        else:
            cut = None
        if self._scaled:
            there = ~np.isnan(array)
            with np.errstate(over="ignore"):
                array[there] = (array * self._scale[low : high + 1] + self._offset[low : high + 1])[there]
            if (beyond := np.isinf(array)).any():
                cut = np.zeros(len(array), np.int16) if cut is None else cut
                array[beyond], cut[beyond] = NULL, Quality.OUT_OF_RANGE
        return Record(time, self._first + low, array, cut, texts)

    def _time(self, document: Any) -> int | None:
        stamp = self._stamp
        if stamp is None:
            return None
        return stamp.meaning(stamp.path.one(document))

    def _raw(self, document: Any) -> list[tuple[int, str, Any]]:
        found: list[tuple[int, str, Any]] = []
        for prefix, members in self._groups:
            node = walk(document, prefix) if prefix else document
            if type(node) is dict:
                for key, index, kind in members:
                    raw = node.get(key, MISSING)
                    if raw is not MISSING:
                        found.append((index, kind, raw))
            elif type(node) is list:
                for key, index, kind in members:
                    if type(key) is int and key < len(node):
                        found.append((index, kind, node[key]))
        for index, kind, path in self._others:
            several = path.all(document)
            if several:
                found.append((index, kind, several[0]))
        return found

    def _mark_missing(self, marks: NDArray[np.int16], document: Any) -> None:
        there = {index for index, _, _ in self._raw(document)}
        for one in self._targets:
            index = one.position - self._first
            if index not in there:
                marks[index] = Quality.NOT_ANSWERED


def _numbers_of(targets: Sequence[Target]) -> Callable[[Any], NDArray[np.float64] | None] | None:
    """Return what reads all tags at once where each is a float64 with a plain path under the same parent.

    It gives None unless every tag is there as a number. Returns None for other tags.
    """
    paths = [one.path.keys for one in targets if one.type == "float64" and one.path.keys]
    positions = [one.position for one in targets]
    parents = {keys[:-1] for keys in paths}
    if (
        len(paths) < max(2, len(targets))
        or len(parents) != 1
        or positions != list(range(positions[0], positions[0] + len(positions)))
    ):
        return None
    parent = parents.pop()
    only = parent[0] if len(parent) == 1 else None
    pick = itemgetter(*(keys[-1] for keys in paths))
    pack = struct.Struct(f"={len(paths)}d").pack

    def numbers(document: Any) -> NDArray[np.float64] | None:
        try:
            values = pick(document[only] if only is not None else walk(document, parent))
            if _NUMBERS.issuperset(map(type, values)):
                return np.frombuffer(pack(*values))
        except (KeyError, IndexError, TypeError, OverflowError, struct.error):
            pass
        return None

    return numbers
