"""The counting questions as they are put to the database. All SQL is in `counting.sql`.

The connection's transaction must already be limited to what the asker may see; a question answers for that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import class_row, tuple_row

from bus.subjects import PARTITIONS
from evidence.counting.count import DeviceAt
from evidence.counting.coverage import Cover, Watch, covers
from evidence.counting.timeline import Stretches
from muster.clock import to_datetime, to_us
from muster.device import Origin
from muster.presence import Definition, State
from store.queries import load

SQL = load("evidence.counting", "counting.sql")
_POSTGRES_EPOCH_US = 946_684_800 * 1_000_000
"""2000-01-01, from which PostgreSQL counts its timestamps."""
_ARRAY_HEADER = 20
_STATES = tuple(State)
_STATE, _REAL, _CONSUMES, _WATCHED = 7, 8, 16, 32
"""The parts of `flags` in the statement `stretches`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which devices a count is about; None is all. enterprises, devices: numbers; industry: as registered."""

    enterprises: Sequence[int] | None = None
    industry: str | None = None
    devices: Sequence[int] | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the filter as the SQL's parameters."""
        return {
            "enterprises": None if self.enterprises is None else list(self.enterprises),
            "industry": self.industry,
            "devices": None if self.devices is None else list(self.devices),
            "partitions": PARTITIONS,
        }


EVERYTHING = Filter()


async def states(
    connection: AsyncConnection[Any],
    at: datetime,
    known: datetime,
    definition: Definition,
    which: Filter = EVERYTHING,
) -> list[DeviceAt]:
    """Return every device of the frame at `at`, as known at `known` (not earlier), by number."""
    lease = timedelta(seconds=definition.lease_s)
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(SQL["states"], {"at": at, "known": known, "lease": lease, **which.parameters()})
        rows = await cursor.fetchall()
    return await asyncio.to_thread(_devices, rows)


def _devices(rows: Sequence[tuple[Any, ...]]) -> list[DeviceAt]:
    """Return the rows of `states` as devices; a large frame has tens of thousands."""
    return [
        DeviceAt._make((*row[:8], _origin(row[8], row[9]), _STATES[row[10]], row[11], row[12]))
        for row in rows
    ]


@cache
def _origin(ledger: str, identity: str | None) -> Origin:
    """Return the most pessimistic of what the ledger and the device itself say."""
    return Origin.worst(Origin(ledger), None if identity is None else Origin(identity))


@dataclass(frozen=True, slots=True)
class _WatchRow:
    id: int
    span: int
    gateway: int
    partition: int
    valid_from: datetime
    valid_to: datetime
    recorded_from: datetime
    recorded_to: datetime
    live: bool
    ended: bool

    def watch(self) -> Watch:
        return Watch(
            self.id,
            self.span,
            self.gateway,
            self.partition,
            to_us(self.valid_from),
            to_us(self.valid_to),
            to_us(self.recorded_from),
            to_us(self.recorded_to),
            self.live,
            self.ended,
        )


async def covered(
    connection: AsyncConnection[Any],
    start: datetime,
    end: datetime,
    known: datetime,
    definition: Definition,
    gateway: int | None = None,
) -> list[Cover]:
    """Return the disjoint covers of [start, end) as known at `known`, of one gateway or of all."""
    lease = timedelta(seconds=definition.lease_s)
    async with connection.cursor(row_factory=class_row(_WatchRow), binary=True) as cursor:
        await cursor.execute(
            SQL["watches"], {"from": start, "to": end, "known": known, "lease": lease, "gateway": gateway}
        )
        watches = [row.watch() for row in await cursor.fetchall()]
    return covers(watches, to_us(known), round(definition.lease_s * 1e6), to_us(start), to_us(end))


async def stretches(
    connection: AsyncConnection[Any],
    start: datetime,
    end: datetime,
    known: datetime,
    definition: Definition,
    which: Filter = EVERYTHING,
) -> Stretches:
    """Return the stretches of every device of the frame in [start, end), as known at `known`."""
    watched = await covered(connection, start, end, known, definition)
    asked = {
        "from": start,
        "to": end,
        "known": known,
        "cover_gateway": [cover.gateway for cover in watched],
        "cover_partition": [cover.partition for cover in watched],
        "cover_span": [cover.span for cover in watched],
        "cover_from": [to_datetime(cover.start) for cover in watched],
        "cover_to": [to_datetime(cover.end) for cover in watched],
        **which.parameters(),
    }
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(SQL["stretches"], asked)
        result = cursor.pgresult
        assert result is not None
        raw = [result.get_value(0, column) for column in range(4)]
    return await asyncio.to_thread(_stretches, *raw)


def _array(raw: bytes | None, kind: str) -> NDArray[np.int64]:
    """Return PostgreSQL's binary array of fixed-width elements without nulls: a header, then length and element."""
    element = np.dtype([("length", ">i4"), ("value", kind)])
    if raw is None:
        return np.empty(0, np.int64)
    return np.frombuffer(raw, element, offset=_ARRAY_HEADER)["value"].astype(np.int64)


def _stretches(
    raw_device: bytes | None, raw_start: bytes | None, raw_end: bytes | None, raw_flags: bytes | None
) -> Stretches:
    device, flags = _array(raw_device, ">i4"), _array(raw_flags, ">i2")
    start, end = _array(raw_start, ">i8") + _POSTGRES_EPOCH_US, _array(raw_end, ">i8") + _POSTGRES_EPOCH_US
    seen = flags & _WATCHED != 0
    order = np.lexsort((start, end, device, seen))
    device, start, end, flags, seen = device[order], start[order], end[order], flags[order], seen[order]
    # a state ends where the next one within the same piece of watching begins
    ends = seen[:-1] & seen[1:] & (device[:-1] == device[1:]) & (end[:-1] == end[1:])
    end[:-1][ends] = start[1:][ends]
    state = flags & _STATE
    kept = ~seen | ((state > State.UNOBSERVED) & (start < end))
    connected = seen & (state == State.CONNECTED) & (flags & _CONSUMES != 0)
    return Stretches(
        device[kept].astype(np.int32),
        start[kept],
        end[kept],
        ~seen[kept],
        seen[kept],
        (connected & (flags & _REAL != 0))[kept],
        connected[kept],
    )
