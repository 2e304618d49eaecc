"""Range partitions: made ahead of time, found again from the catalogue, dropped whole.

The default partition of each table stays for odd times: source times far from now, and late data older than
what is kept. Rows that stand in its way move into a new partition in the same transaction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from store.connection import translated
from store.queries import load

_QUERIES = load("store", "partitions.sql")
_BOUND = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)")
_LOCK_WAIT = "3s"
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
LONGEST_HOLE = timedelta(days=7)
"""How far back partitions are made after a time in which nobody made any."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in ranges: its name and their column; hypertable: TimescaleDB makes its ranges by itself."""

    name: str
    column: str
    hypertable: bool = False

    @property
    def other(self) -> str:
        """The name of its default partition, or of the table that takes its place."""
        return f"{self.name}_other"


@dataclass(frozen=True, slots=True)
class Partition:
    """One range partition with its size on disk, indexes and all."""

    name: str
    start: datetime
    end: datetime
    bytes: int


RAW = (Table("scan", "time"), Table("reading_text", "time"), Table("batch", "recorded_at"))
RAW_IN_CHUNKS = (Table("scan", "time", hypertable=True), *RAW[1:])
"""The same where scans are a hypertable."""
MINUTES = Table("rollup_minute", "time")
DIGESTS = Table("device_minutes", "minute")
DAILY = (MINUTES, DIGESTS)
"""Tables in ranges of a day, in the order in which the disk budget lets them go."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def missing(
    existing: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime, width: timedelta
) -> list[tuple[datetime, datetime]]:
    """Return the ranges that must be made so that [start, end) is covered, in order and overlapping nothing.

    Ranges lie on the grid of `width` since 2020, cut where an existing range of another width stands.
    """
    wanted: list[tuple[datetime, datetime]] = []
    at = EPOCH + (start - EPOCH) // width * width
    taken = sorted(existing)
    while at < end:
        holder = next((span for span in taken if span[0] <= at < span[1]), None)
        if holder is not None:
            at = holder[1]
            continue
        stop = EPOCH + ((at - EPOCH) // width + 1) * width
        stop = min([stop, *(span[0] for span in taken if at < span[0])])
        wanted.append((at, stop))
        at = stop
    return wanted


async def existing(connection: AsyncConnection[TupleRow], table: Table) -> list[Partition]:
    """Return the range partitions, or chunks, of `table`, oldest first."""
    if table.hypertable:
        with translated():
            cursor = await connection.execute(_QUERIES["chunks"])
            return [
                Partition(name, start.astimezone(UTC), end.astimezone(UTC), size)
                for name, start, end, size in await cursor.fetchall()
            ]
    with translated():
        cursor = await connection.execute(_QUERIES["partitions"], {"table": table.name})
        rows = await cursor.fetchall()
    found: list[Partition] = []
    for name, bound, size in rows:
        if match := _BOUND.fullmatch(bound):
            start, end = (datetime.fromisoformat(text).astimezone(UTC) for text in match.groups())
            found.append(Partition(name, start, end, size))
    return sorted(found, key=lambda partition: partition.start)


async def ensure(
    connection: AsyncConnection[TupleRow], table: Table, now: datetime, width: timedelta, ahead: int = 2
) -> list[str]:
    """Make the partitions of `table` up to `ahead` widths after `now`'s; return the names of those made.

    After a time in which nobody made any, the ranges between are made too. A hypertable makes its own.

    Raises:
        Unavailable: a lock could not be had in time; try again.
    """
    if table.hypertable:
        return []
    spans = [(partition.start, partition.end) for partition in await existing(connection, table)]
    current = EPOCH + (now - EPOCH) // width * width
    begin = current - width
    if spans and spans[-1][1] < begin:
        begin = max(spans[-1][1], now - LONGEST_HOLE)
    made: list[str] = []
    for start, end in missing(spans, begin, current + (ahead + 1) * width, width):
        if not any(span[0] > start for span in spans):  # never before what retention left
            made.append(await _make(connection, table, start, end))
    return made


async def _make(connection: AsyncConnection[TupleRow], table: Table, start: datetime, end: datetime) -> str:
    name = f"{table.name}_p{start:%Y%m%d_%H%M}"
    names = {
        "table": sql.Identifier(table.name),
        "other": sql.Identifier(table.other),
        "column": sql.Identifier(table.column),
        "partition": sql.Identifier(name),
        "start": sql.Literal(start),
        "end": sql.Literal(end),
    }
    with translated():
        async with connection.transaction():
            await connection.execute(sql.SQL("set local lock_timeout = {}").format(_LOCK_WAIT))
            for step in ("lock_other", "create_partition", "move_out", "attach"):
                await connection.execute(sql.SQL(_QUERIES[step]).format(**names))
    return name


async def drop(
    connection: AsyncConnection[TupleRow], dropped: Sequence[tuple[Table, Partition]], reason: str
) -> None:
    """Drop partitions whole, with their rows in `retention`, in one transaction.

    Raises:
        Unavailable: a lock could not be had in time; nothing was dropped.
    """
    with translated():
        async with connection.transaction():
            await connection.execute(sql.SQL("set local lock_timeout = {}").format(_LOCK_WAIT))
            for table, partition in dropped:
                await connection.execute(
                    _QUERIES["record"],
                    (table.name, partition.start, partition.end, partition.bytes, reason),
                )
                if table.hypertable:
                    span = {"start": partition.start, "end": partition.end}
                    await connection.execute(_QUERIES["drop_chunk"], span)
                else:
                    await connection.execute(
                        sql.SQL(_QUERIES["drop_partition"]).format(partition=sql.Identifier(partition.name))
                    )


async def empty_other(connection: AsyncConnection[TupleRow], table: Table, reason: str) -> int:
    """Drop the default partition of `table` whole and make an empty one; return the bytes it held.

    Raises:
        Unavailable: a lock could not be had in time; nothing was dropped.
    """
    names = {
        "table": sql.Identifier(table.name),
        "other": sql.Identifier(table.other),
        "other_name": sql.Literal(table.other),
        "column": sql.Identifier(table.column),
    }
    with translated():
        async with connection.transaction():
            await connection.execute(sql.SQL("set local lock_timeout = {}").format(_LOCK_WAIT))
            await connection.execute(sql.SQL(_QUERIES["lock_other"]).format(**names))
            cursor = await connection.execute(sql.SQL(_QUERIES["extent_of_other"]).format(**names))
            row = await cursor.fetchone()
            assert row is not None
            first, last, size = row
            await connection.execute(_QUERIES["record"], (table.other, first, last, size, reason))
            if table.hypertable:
                await connection.execute(_QUERIES["empty_odd"])
            else:
                await connection.execute(sql.SQL(_QUERIES["drop_other"]).format(**names))
                await connection.execute(sql.SQL(_QUERIES["create_other"]).format(**names))
    return int(size)
