"""The time-series engine: range partitions on plain PostgreSQL, a hypertable where the database has TimescaleDB.

Both hold the same rows in tables of the same names, and the views read the same. With TimescaleDB, `scan` is a
hypertable, its chunks turn into columns once they have passed (not in the Apache edition), and scans of odd times,
which are the default partition's on plain PostgreSQL, stand in a table of their own, `scan_other`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.clock import SECOND_US
from store.connection import translated
from store.queries import load

log = structlog.get_logger()

_QUERIES = load("store", "engine.sql")
LEAST = (2, 14)
"""The oldest TimescaleDB that is used; with an older one the database is treated as plain."""
BACK = timedelta(days=30)
AHEAD = timedelta(days=2)
"""Source times from so far back to so far ahead have chunks; others are odd."""
SETTLE = timedelta(hours=1)
"""How long after its end a chunk is turned into columns."""
_CONVERSION = (
    "lock_scan",
    "create_series",
    "index_series",
    "make_hypertable",
    "create_odd",
    "move_series",
    "move_odd",
    "unite",
    "drop_partitioned",
    "name_series",
    "name_odd",
    "name_index",
    "grant_ingest",
    "grant_notary",
)


@dataclass(frozen=True, slots=True)
class Engine:
    """What a database offers. timescale: its version, or empty; hypertable: whether scans are one.

    columnstore: whether its edition keeps chunks in columns.
    """

    timescale: str
    columnstore: bool
    hypertable: bool

    @property
    def usable(self) -> bool:
        """Whether TimescaleDB is there and new enough."""
        numbers = re.match(r"(\d+)\.(\d+)", self.timescale)
        return numbers is not None and (int(numbers[1]), int(numbers[2])) >= LEAST


async def detect(connection: AsyncConnection[TupleRow]) -> Engine:
    """Return what the database offers, whatever role the connection has."""
    with translated():
        row = await (await connection.execute(_QUERIES["detect"])).fetchone()
    assert row is not None
    version, licence, hypertable = row
    return Engine(version or "", licence == "timescale", bool(hypertable))


async def settle(connection: AsyncConnection[TupleRow], now: datetime) -> Engine:
    """Let the tables use what the database offers, once, as its owner; what was stored stays.

    Raises:
        psycopg.Error: a statement was refused; nothing was changed.
    """
    engine = await detect(connection)
    if not engine.usable:
        return engine
    if not engine.hypertable:
        async with connection.transaction():
            for step in _CONVERSION:
                await connection.execute(_QUERIES[step], {"first": now - BACK, "end": now + AHEAD})
        log.info("hypertable-made", timescaledb=engine.timescale)
    if engine.columnstore:
        row = await (await connection.execute(_QUERIES["columnstore_enabled"])).fetchone()
        if row is not None and not row[0]:
            await connection.execute(_QUERIES["enable_columnstore"])
    return Engine(engine.timescale, engine.columnstore, hypertable=True)


def bounds(now_us: int) -> tuple[int, int]:
    """Return from which source time on, and until which, scans have chunks, in µs since 1970."""
    return now_us - _us(BACK), now_us + _us(AHEAD)


def _us(span: timedelta) -> int:
    return round(span.total_seconds()) * SECOND_US


async def widen(connection: AsyncConnection[TupleRow], width: timedelta) -> None:
    """Give chunks to come this width."""
    with translated():
        await connection.execute(_QUERIES["set_chunk_width"], {"width": width})


async def into_columns(connection: AsyncConnection[TupleRow], now: datetime) -> int:
    """Turn the chunks that have passed into columns, each in a transaction of its own; return how many.

    Raises:
        Unavailable: a lock could not be had in time; what was turned until then stays.
    """
    with translated():
        cursor = await connection.execute(_QUERIES["due_for_columns"], {"before": now - SETTLE})
        due = [chunk for (chunk,) in await cursor.fetchall()]
        for chunk in due:
            async with connection.transaction():
                await connection.execute("set local lock_timeout = '3s'")
                await connection.execute(_QUERIES["into_columns"], {"chunk": chunk})
    return len(due)
