"""The loop that keeps the database in order: partitions ahead, roll-ups, checkpoints, the disk budget.

Runs as the database's owner, once per installation; a second one does the same work again and harms nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.clock import Clock, to_datetime
from muster.errors import Unavailable
from store import budget, checkpoints, engine, partitions, rollup
from store.connection import connected
from store.engine import Engine
from store.partitions import DAILY, DAY, RAW, RAW_IN_CHUNKS, Table

log = structlog.get_logger()

PARTITIONS_EVERY_S = 60.0
BUDGET_EVERY_S = 15.0
ROLL_UP_EVERY_S = 5.0
COLUMNS_EVERY_S = 60.0
CHECKPOINTS_EVERY_S = 60.0
RETRY_S = 2.0

_bytes = Gauge("muster_store_bytes", "Bytes of the database on disk, write-ahead log excluded")
_budget_bytes = Gauge("muster_store_budget_bytes", "The disk budget")
_made = Counter("muster_store_partitions_made_total", "Partitions made")
_columns = Counter("muster_store_chunks_into_columns_total", "Chunks turned into columns")
_checkpoints = Counter("muster_store_checkpoints_total", "Checkpoints of the frame and of presence made")
_rolled = Counter("muster_store_rollup_marks_total", "Due marks rolled up")


class Housekeeping:
    """Makes, rolls up and drops; `ready` is set once the partitions for now exist."""

    def __init__(self, dsn: str, disk_budget_bytes: int, partition_minutes: int, clock: Clock) -> None:
        self._dsn = dsn
        self._budget = disk_budget_bytes
        self._width = timedelta(minutes=partition_minutes)
        self._clock = clock
        self._engine = Engine("", columnstore=False, hypertable=False)
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; a database that cannot be reached is tried again.

        Raises:
            ConfigError: the address, the password or the role's rights are wrong.
        """
        while not stop.is_set():
            try:
                async with connected(self._dsn, "keeper") as connection:
                    await self._work(connection, stop)
            except Unavailable as error:
                log.warning("database-unavailable", reason=str(error))
                await _wait(stop, RETRY_S * random.uniform(0.5, 1.5))

    async def _work(self, connection: AsyncConnection[TupleRow], stop: asyncio.Event) -> None:
        self._engine = await engine.detect(connection)
        if self._engine.hypertable:
            await engine.widen(connection, self._width)
        every: dict[Callable[[AsyncConnection[TupleRow]], Awaitable[bool | None]], float] = {
            self.make_partitions: PARTITIONS_EVERY_S,
            self.keep_budget: BUDGET_EVERY_S,
            self.roll_up: ROLL_UP_EVERY_S,
            self.to_columns: COLUMNS_EVERY_S,
            self.make_checkpoints: CHECKPOINTS_EVERY_S,
        }
        due = dict.fromkeys(every, 0.0)
        while not stop.is_set():
            for job, at in due.items():
                if self._clock.monotonic() >= at:
                    unfinished = await job(connection)
                    due[job] = self._clock.monotonic() + (0.0 if unfinished else every[job])
            await _wait(stop, max(min(due.values()) - self._clock.monotonic(), 0.0))

    async def make_partitions(self, connection: AsyncConnection[TupleRow]) -> None:
        """Make what is missing for now and the time ahead."""
        now = self._now()
        for table in self._raw:
            made = await partitions.ensure(connection, table, now, self._width)
            _made.inc(len(made))
        for table in DAILY:
            _made.inc(len(await partitions.ensure(connection, table, now, DAY)))
        self.ready.set()

    async def keep_budget(self, connection: AsyncConnection[TupleRow]) -> None:
        """Drop what the disk budget no longer holds."""
        use = await budget.enforce(connection, self._budget, self._now(), self._raw)
        _bytes.set(use.bytes)
        _budget_bytes.set(use.budget)

    async def roll_up(self, connection: AsyncConnection[TupleRow]) -> bool:
        """Roll up whatever is due, for as long as the other jobs can wait; return whether more may be."""
        until = self._clock.monotonic() + ROLL_UP_EVERY_S
        while worked := await rollup.roll_up(connection):
            _rolled.inc(worked)
            if self._clock.monotonic() >= until:
                return True
        return False

    async def to_columns(self, connection: AsyncConnection[TupleRow]) -> None:
        """Turn chunks that have passed into columns, where the engine has them."""
        if self._engine.hypertable and self._engine.columnstore:
            _columns.inc(await engine.into_columns(connection, self._now()))

    async def make_checkpoints(self, connection: AsyncConnection[TupleRow]) -> None:
        """Make the checkpoints by which a past count reads few rows."""
        _checkpoints.inc(await checkpoints.make_checkpoints(connection))

    @property
    def _raw(self) -> Sequence[Table]:
        return RAW_IN_CHUNKS if self._engine.hypertable else RAW

    def _now(self) -> datetime:
        return to_datetime(self._clock.now_us()).astimezone(UTC)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `stop`, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
