"""The columns of data changes, and how a DataChangeNotification's bytes get there. Pure.

A change is a client handle and a DataValue: a mask, then what the mask names (OPC 10000-6 §5.2.2.17). Almost all
changes of a notification have one shape, which mask and type of the value decide; numpy reads them as records. Source
and server picoseconds are passed over: no time here is finer than a microsecond.
"""

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary
from numpy.typing import NDArray

from gateway.adapters.opcua import bounds  # noqa: F401 - set where asyncua decodes for us

ABSENT = -(2**63)
"""A time that was not sent."""
NOTHING, BOOLEAN, DATE_TIME, OTHER = 0, 1, 13, 255
EXACT = 2**53
_EPOCH_US = 11_644_473_600_000_000
_LATEST_TICKS = 10 * (
    (ua.uatypes.MAX_FILETIME_EPOCH_DATETIME - ua.uatypes.FILETIME_EPOCH_AS_DATETIME)
    // ua.uatypes._microsecond
)
VALUE, STATUS, SOURCE, SERVER, SOURCE_PICO, SERVER_PICO = 1, 2, 4, 8, 16, 32
_NAMED = 63
_FORMS = {
    1: "u1",
    2: "i1",
    3: "u1",
    4: "i2",
    5: "u2",
    6: "i4",
    7: "u4",
    8: "i8",
    9: "u8",
    10: "f4",
    11: "f8",
    13: "i8",
}
_ARRAY = 0x80
WHOLE = (8, 9)
"""The kinds that may not fit a float64."""
_COUNT = struct.Struct("<i")
_HEAD = struct.Struct("<IB")
MASK_AT, KIND_AT = 4, 5


@dataclass(frozen=True, slots=True)
class Changes:
    """n data changes of one notification, as they were sent.

    handle: (n,) client handles. kind: of the values, one of the built-in types' numbers, `NOTHING`, or `OTHER` for what
    stands in `others` under its index; (n,) where they differ. value: (n,) float64: numbers, 0 and 1, seconds since
    1970. status: (n,), None when all are 0. source, server: (n,) times in 100 ns since 1601, `ABSENT` where none was
    sent, None when none was sent at all.
    """

    handle: NDArray[np.uint32]
    kind: int | NDArray[np.uint8]
    value: NDArray[np.float64]
    status: NDArray[np.uint32] | None
    source: NDArray[np.int64] | None
    server: NDArray[np.int64] | None
    others: dict[int, ua.Variant]

    def __len__(self) -> int:
        return len(self.handle)

    def times(self, received: int) -> NDArray[np.int64]:
        """Return the (n,) source times in µs; the server's where there is none, else `received`."""
        ticks: NDArray[np.int64] | None = None
        for column in (self.source, self.server):
            if column is not None:
                ticks = column if ticks is None else np.where(ticks == ABSENT, column, ticks)
                if not (ticks == ABSENT).any():
                    break
        if ticks is None:
            return np.full(len(self), received)
        found = _microseconds(ticks)
        return np.where(ticks == ABSENT, received, found) if (ticks == ABSENT).any() else found


def microseconds(ticks: int) -> int:
    """Return µs since 1970 of a time on the wire, 100 ns since 1601; what lies beyond its years is its end."""
    return int(min(max(ticks, 0), _LATEST_TICKS) // 10 - _EPOCH_US)


def _microseconds(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.minimum(np.maximum(ticks, 0), _LATEST_TICKS) // 10 - _EPOCH_US
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """How changes of one mask and one type of value are laid out. octets: 0 … size - 1."""

    kind: int
    record: np.dtype[np.void]
    names: frozenset[str]
    size: int
    octets: NDArray[np.intp]


@cache
def _shape(mask: int, kind: int) -> _Shape | None:
    """Return the shape of a masked change; none where its value has no fixed size."""
    wire: list[tuple[str, str]] = []
    if mask & VALUE and kind != NOTHING:
        if kind not in _FORMS:
            return None
        wire.append(("value", _FORMS[kind]))
    for bit, name, form in (
        (STATUS, "status", "u4"),
        (SOURCE, "source", "i8"),
        (SOURCE_PICO, "source_pico", "u2"),
        (SERVER, "server", "i8"),
        (SERVER_PICO, "server_pico", "u2"),
    ):
        if mask & bit:
            wire.append((name, form))
    head = [("handle", "<u4"), ("shape", "<u2" if mask & VALUE else "u1")]
    record = np.dtype(head + [(name, "<" + form) for name, form in wire])
    size = int(record.itemsize)
    kind = kind if mask & VALUE else NOTHING
    return _Shape(kind, record, frozenset(record.names or ()), size, np.arange(size))


def _shape_at(body: bytes, at: int) -> _Shape | None:
    mask = body[at + MASK_AT]
    return _shape(mask & _NAMED, body[at + KIND_AT] if mask & VALUE else NOTHING)


class Columns:
    """Gathers the changes of one notification."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.intp] | None, Changes]] = []
        self._count = 0

    def read(self, body: bytes, at: int, end: int) -> int:
        """Read the MonitoredItems that begin at `at`, none beyond `end`; return where they end.

        Raises struct.error, IndexError, ValueError, or what asyncua raises, for what is cut short or no value.
        """
        (count,) = _COUNT.unpack_from(body, at)
        at += _COUNT.size
        if count <= 0:
            return at
        shape = _shape_at(body, at)
        if shape is not None and at + count * shape.size <= end:
            rows = np.frombuffer(body, shape.record, count, at)
            octets = rows["shape"].tobytes()
            if octets == octets[: len(octets) // count] * count:
                index = None if self._count == 0 else np.arange(self._count, self._count + count)
                self._parts.append((index, _changes(rows, shape)))
                self._count += count
                return at + rows.nbytes
        return self._walk(body, at, end, count)

    def whole(self) -> Changes | None:
        """Return all changes, in their order; none when there are none."""
        if not self._parts:
            return None
        if len(self._parts) == 1 and self._parts[0][0] is None:
            return self._parts[0][1]
        return _joined(self._parts, self._count)

    def _walk(self, body: bytes, at: int, end: int, count: int) -> int:
        """Read changes of several shapes: find where each begins, then read those of a shape at once."""
        found: dict[_Shape, tuple[list[int], list[int]]] = {}
        first = self._count
        for index in range(first, first + min(count, end - at)):
            shape = _shape_at(body, at)
            if shape is None:
                change, at = _other(body, at)
                self._parts.append((np.array([index]), change))
            else:
                indexes, begins = found.setdefault(shape, ([], []))
                indexes.append(index)
                begins.append(at)
                at += shape.size
            if at > end:
                raise ValueError("a change beyond its notification's end")
            self._count += 1
        if self._count != first + count:
            raise ValueError(f"{count} changes in {end - at} bytes")
        octets = np.frombuffer(body, np.uint8)
        for shape, (indexes, begins) in found.items():
            picked = octets[np.array(begins)[:, None] + shape.octets]
            self._parts.append((np.array(indexes), _changes(picked.view(shape.record)[:, 0], shape)))
        return at


class Few(NamedTuple):
    """A few changes of one notification: Good numbers that a float64 holds, each with its source time.

    kinds: of each value, the built-in type's number. source: in 100 ns since 1601. body: that of the notification, in
    which they stand from `at`, where their count is, to `end`.
    """

    handle: tuple[int, ...]
    kinds: bytes
    value: tuple[float, ...]
    source: tuple[int, ...]
    body: bytes
    at: int
    end: int

    def columns(self) -> Changes:
        """Return the same changes as columns."""
        columns = Columns()
        columns.read(self.body, self.at, self.end)
        whole = columns.whole()
        assert whole is not None
        return whole


def _other(body: bytes, at: int) -> tuple[Changes, int]:
    """Read one change whose value has no fixed size; return also where it ends."""
    handle, mask = _HEAD.unpack_from(body, at)
    variant, at = _variant(body, at + _HEAD.size)
    shape = _shape(mask & _NAMED & ~VALUE, NOTHING)
    assert shape is not None
    head = _HEAD.pack(handle, mask & _NAMED & ~VALUE)
    end = at + shape.size - _HEAD.size
    rest = _changes(np.frombuffer(head + body[at:end], shape.record, 1), shape)
    return replace(rest, kind=OTHER, others={0: variant}), end


def _changes(rows: NDArray[np.void], shape: _Shape) -> Changes:
    """Return a run's columns."""
    names = shape.names
    others: dict[int, ua.Variant] = {}
    kind: int | NDArray[np.uint8] = shape.kind
    if "value" not in names:
        value = np.zeros(len(rows))
    elif shape.kind == BOOLEAN:
        value = (rows["value"] != 0).astype(np.float64)
    elif shape.kind == DATE_TIME:
        value = _microseconds(rows["value"]) / 1e6
    else:
        raw = rows["value"]
        value = raw.astype(np.float64)
        if shape.kind in WHOLE:
            large = np.flatnonzero(
                (raw > EXACT) if shape.kind == 9 else (raw > EXACT) | (raw < -EXACT)
            ).tolist()
            if large:
                others = {at: ua.Variant(int(raw[at]), ua.VariantType(shape.kind)) for at in large}
                kind = np.full(len(rows), shape.kind, np.uint8)
                kind[large] = OTHER
    status = rows["status"] if "status" in names else None
    return Changes(
        rows["handle"],
        kind,
        value,
        status if status is not None and status.any() else None,
        rows["source"] if "source" in names else None,
        rows["server"] if "server" in names else None,
        others,
    )


def _joined(parts: list[tuple[NDArray[np.intp] | None, Changes]], count: int) -> Changes:
    """Return several parts as one, each part's changes at their indexes."""
    whole = Changes(
        np.zeros(count, np.uint32),
        np.zeros(count, np.uint8),
        np.zeros(count),
        np.zeros(count, np.uint32),
        np.full(count, ABSENT),
        np.full(count, ABSENT),
        {},
    )
    for index, part in parts:
        at = np.arange(len(part)) if index is None else index
        for column, own in zip(_columns(whole), _columns(part), strict=True):
            if own is not None and column is not None:
                column[at] = own
        whole.others.update({int(at[own]): variant for own, variant in part.others.items()})
    return whole


def _columns(one: Changes) -> tuple[Any, ...]:
    return one.handle, one.kind, one.value, one.status, one.source, one.server


def _variant(body: bytes, at: int) -> tuple[ua.Variant, int]:
    """Decode a variant as asyncua does; return also where it ends. Raises what asyncua raises, or ValueError."""
    if body[at] & _ARRAY:
        (count,) = _COUNT.unpack_from(body, at + 1)
        if count > len(body) - at:  # each element has a byte at least; of nothing there is no array
            raise ValueError(f"an array of {count} in {len(body) - at} bytes")
    rest = Buffer(body, at)
    return variant_from_binary(rest), rest.cur_pos
