"""The counting questions as they are put to the database. All SQL is in `counting.sql`.

The connection's transaction must already be limited to what the asker may see; a question answers for that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import class_row

from bus.subjects import PARTITIONS
from evidence.counting.arrays import POSTGRES_EPOCH_US, joined
from evidence.counting.coverage import Cover, Watch, covers
from evidence.counting.timeline import Stretches
from muster.clock import to_datetime, to_us
from muster.presence import Definition, State
from store.queries import load

SQL = load("evidence.counting", "counting.sql")
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


def _stretches(
    raw_device: bytes | None, raw_start: bytes | None, raw_end: bytes | None, raw_flags: bytes | None
) -> Stretches:
    device, flags = joined([raw_device], ">i4"), joined([raw_flags], ">i2")
    start = joined([raw_start], ">i8") + POSTGRES_EPOCH_US
    end = joined([raw_end], ">i8") + POSTGRES_EPOCH_US
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
