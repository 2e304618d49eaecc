"""The disk budget: when the database outgrows it, the oldest raw partitions go first, whole and recorded.

Order of what goes: raw ranges (scans, texts, batches) from the oldest, never the one being written; then the
default partitions of odd times; then days of minute roll-ups; last days of device-minutes and their digests.
Hour roll-ups, presence and the device book stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from store import partitions
from store.connection import translated
from store.partitions import DAILY, RAW, Partition, Table
from store.queries import load

log = structlog.get_logger()

_QUERIES = load("store", "partitions.sql")
_BUDGET = load("store", "budget.sql")
FILL = 0.95
"""The share of the budget at which dropping begins, so that the next minutes still fit."""
ODD_SHARE = 0.05
"""The share of the budget that a default partition of odd times may take."""
QUARANTINE_SHARE = 0.05
"""The share of the budget that refused batches may take."""


@dataclass(frozen=True, slots=True)
class Use:
    """What the database takes: bytes now and the budget."""

    bytes: int
    budget: int

    @property
    def over(self) -> bool:
        """Whether something must go."""
        return self.bytes > self.budget * FILL


async def measure(connection: AsyncConnection[TupleRow], budget_bytes: int) -> Use:
    """Return what the database takes on disk, write-ahead log excluded."""
    with translated():
        cursor = await connection.execute(_QUERIES["size_of_database"])
        row = await cursor.fetchone()
    assert row is not None
    return Use(int(row[0]), budget_bytes)


async def enforce(
    connection: AsyncConnection[TupleRow], budget_bytes: int, now: datetime, raw: Sequence[Table] = RAW
) -> Use:
    """Drop until the database is within its budget or nothing may be dropped; return what it takes then.

    raw: the tables of raw ranges, as the database's engine has them.

    Raises:
        Unavailable: a lock could not be had in time; what was dropped until then is recorded.
    """
    await _bound_quarantine(connection, budget_bytes)
    for table in (*raw, *DAILY):
        if await _size_of_other(connection, table) > budget_bytes * ODD_SHARE:
            await _empty_other(connection, table, "odd-times")
    use = await measure(connection, budget_bytes)
    while use.over and await _drop_oldest(connection, now, raw):
        use = await measure(connection, budget_bytes)
    if use.over:
        log.error("disk-budget-unreachable", bytes=use.bytes, budget=use.budget)
    return use


async def _drop_oldest(connection: AsyncConnection[TupleRow], now: datetime, raw: Sequence[Table]) -> bool:
    """Drop what is due next; return False when nothing may be dropped."""
    past = await _past(connection, raw, now)
    if past:
        end = min(partition.end for _, partition in past)
        await _drop(connection, [item for item in past if item[1].end <= end])
        return True
    for table in raw:
        if await _rows_in_other(connection, table):
            await _empty_other(connection, table, "disk-budget")
            return True
    for table in DAILY:
        days = await _past(connection, (table,), now)
        if days:
            await _drop(connection, days[:1])
            return True
    return False


async def _past(
    connection: AsyncConnection[TupleRow], tables: Sequence[Table], now: datetime
) -> list[tuple[Table, Partition]]:
    """Return the partitions that ended before `now`, oldest first in each table."""
    return [
        (table, partition)
        for table in tables
        for partition in await partitions.existing(connection, table)
        if partition.end <= now
    ]


async def _drop(connection: AsyncConnection[TupleRow], dropped: list[tuple[Table, Partition]]) -> None:
    await partitions.drop(connection, dropped, "disk-budget")
    for table, partition in dropped:
        log.warning(
            "partition-dropped",
            table=table.name,
            start=partition.start.isoformat(),
            end=partition.end.isoformat(),
            bytes=partition.bytes,
            reason="disk-budget",
        )


async def _empty_other(connection: AsyncConnection[TupleRow], table: Table, reason: str) -> None:
    size = await partitions.empty_other(connection, table, reason)
    log.warning("partition-dropped", table=table.other, bytes=size, reason=reason)


async def _size_of_other(connection: AsyncConnection[TupleRow], table: Table) -> int:
    with translated():
        cursor = await connection.execute(_QUERIES["size_of_other"], {"other": table.other})
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _rows_in_other(connection: AsyncConnection[TupleRow], table: Table) -> bool:
    with translated():
        cursor = await connection.execute(_BUDGET[f"any_{table.other}"])
        return await cursor.fetchone() is not None


async def _bound_quarantine(connection: AsyncConnection[TupleRow], budget_bytes: int) -> None:
    with translated():
        async with connection.transaction():
            cursor = await connection.execute(
                _BUDGET["bound_quarantine"], {"limit": int(budget_bytes * QUARANTINE_SHARE)}
            )
            row = await cursor.fetchone()
    if row is not None and row[0]:
        log.warning("quarantine-dropped", batches=row[0], bytes=row[1], reason="disk-budget")
