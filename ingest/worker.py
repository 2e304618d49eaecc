"""One worker: says that it lives, counts the others, and stores its fair share of the partitions.

Each worker holds an advisory lock of its own number on its control connection, so that the living ones can be
listed; partition p belongs to the (p modulo n)-th of n. A worker that leaves finishes its transaction first.
"""

import asyncio
import random
import secrets

import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection, Notify
from psycopg.rows import TupleRow

from bus import subjects
from ingest import metrics, place
from ingest.partition import SILENT_MS, Partition
from ingest.registry import QUERIES, Registry
from ingest.settings import Settings
from muster.clock import Clock
from muster.errors import Unavailable
from muster.presence import Definition
from store import migrations
from store.connection import connected

log = structlog.get_logger()

WORKER_LOCK = 0x4D535032
"""The space of advisory locks on workers' numbers."""

LOOK_EVERY_S = 1.0
PURGE_EVERY_S = 10.0
RETRY_S = 1.0


def share(workers: list[int], mine: int, partitions: int) -> set[int]:
    """Return the partitions of the worker `mine` among those that live."""
    ranked = sorted({*workers, mine})
    place = ranked.index(mine)
    return {partition for partition in range(partitions) if partition % len(ranked) == place}


class Worker:
    """Runs the partitions that are this worker's share."""

    def __init__(self, settings: Settings, client: Client, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._registry = Registry(Definition(), clock)
        self._tasks: dict[int, tuple[asyncio.Event, Partition, asyncio.Task[None]]] = {}
        self._connected = False

    def health(self) -> str | None:
        """Return what is wrong, or None."""
        if not self._connected:
            return "the database is away"
        if not self._client.is_connected:
            return "the bus is away"
        waiting = [str(number) for number, (_, partition, _) in self._tasks.items() if not partition.reading]
        return f"partitions {', '.join(waiting)} are not read yet" if waiting else None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then finish what is begun.

        Raises:
            ConfigError: the database refuses this worker, or is not of this program's version.
        """
        async with asyncio.TaskGroup() as group:
            try:
                while not stop.is_set():
                    try:
                        await self._control(group, stop)
                    except Unavailable as error:
                        log.warning("database-unavailable", reason=str(error))
                    finally:
                        self._connected = False
                    await _wait(stop, RETRY_S * random.uniform(0.5, 1.5))
            finally:
                await self._assign(set(), group)

    async def _control(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Live on one control connection until it breaks or `stop`."""
        name = f"ingest {self._settings.worker}"
        async with connected(self._settings.database, name, idle_session_timeout=SILENT_MS) as connection:
            await migrations.check(connection)
            mine = await self._announce(connection)
            connection.add_notify_handler(self._heard)
            await connection.execute("listen device")
            await connection.execute("listen gateway")
            await self._registry.load(connection)
            purge_at = self._clock.monotonic() + PURGE_EVERY_S
            while not stop.is_set():
                given = {"space": WORKER_LOCK}
                rows = await (await connection.execute(QUERIES["workers"], given)).fetchall()
                living = [row[0] for row in rows]
                metrics.workers.set(len(living))
                await self._assign(share(living, mine, subjects.PARTITIONS), group)
                self._connected = True
                if self._registry.stale:
                    await self._registry.refresh(connection)
                if self._clock.monotonic() >= purge_at:
                    purge_at = self._clock.monotonic() + PURGE_EVERY_S
                    if mine == min(living, default=mine):
                        await self._purge(connection)
                await _wait(stop, LOOK_EVERY_S)

    async def _announce(self, connection: AsyncConnection[TupleRow]) -> int:
        while True:
            mine = secrets.randbelow(2**31 - 1) + 1
            given = {"space": WORKER_LOCK, "worker": mine}
            row = await (await connection.execute(QUERIES["announce"], given)).fetchone()
            if row is not None and row[0]:
                return mine

    async def _purge(self, connection: AsyncConnection[TupleRow]) -> None:
        """Let the stream forget what no partition needs, of whichever worker; later, if it cannot be asked now."""
        try:
            await place.purge(connection, self._client)
        except Unavailable as error:
            log.warning("stream-not-purged", reason=str(error))

    def _heard(self, notify: Notify) -> None:
        if notify.channel == "gateway":
            self._registry.gateways_changed()
        elif notify.payload.isdigit():
            self._registry.changed(int(notify.payload))

    async def _assign(self, wanted: set[int], group: asyncio.TaskGroup) -> None:
        """Begin the partitions that are this worker's and let go of the others, in good order."""
        left = [self._tasks.pop(number) for number in sorted(set(self._tasks) - wanted)]
        for leave, partition, _ in left:
            leave.set()
            partition.leave()
        for *_, task in left:
            await asyncio.wait([task])
        for number in sorted(wanted - set(self._tasks)):
            leave = asyncio.Event()
            partition = Partition(
                number,
                self._settings.database,
                self._settings.worker,
                self._client,
                self._registry,
                self._clock,
                self._settings.stream_limit_bytes,
            )
            task = group.create_task(partition.run(leave), name=f"partition {number}")
            self._tasks[number] = (leave, partition, task)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `stop`, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
