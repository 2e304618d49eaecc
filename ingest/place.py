"""A partition's place in the stream, as the database keeps it, and the right to move it.

Who holds a partition has an advisory lock on the very connection it writes through, so a dead worker's lock
is free. The lock is only a hint: each take-over raises the fence, and every transaction moves the place by
compare-and-set with that fence, so a worker that was thought dead and comes back fails and lets go.
"""

import asyncio
from dataclasses import dataclass, field

import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ingest import metrics, stream
from ingest.registry import QUERIES
from ingest.stream import Extent
from ingest.writer import jsonb
from muster.clock import to_us
from muster.errors import Unavailable

log = structlog.get_logger()

Connection = AsyncConnection[TupleRow]

PARTITION_LOCK = 0x4D535031
"""The space of advisory locks on partitions."""
RETRY_S = 1.0
STUCK_S = 20.0
"""A holder that has done nothing for so long, not even been ended by the server, is ended by who waits."""
NUMBERS = 256


class Fenced(Unavailable):
    """Another worker took this partition over."""


@dataclass(slots=True)
class Position:
    """How far a partition is stored: the stream's identity, the sequence in it, the holder's fence."""

    partition: int
    stream: str
    sequence: int
    fence: int


@dataclass(slots=True)
class Numbers:
    """Numbers drawn ahead from a sequence of the database."""

    query: str
    drawn: list[int] = field(default_factory=list)

    async def draw(self, connection: Connection, count: int) -> list[int]:
        """Return `count` unused numbers, rising."""
        if len(self.drawn) < count:
            given = {"count": max(count, NUMBERS)}
            rows = await (await connection.execute(QUERIES[self.query], given)).fetchall()
            self.drawn = [row[0] for row in rows]
        taken, self.drawn = self.drawn[:count], self.drawn[count:]
        return taken


async def take_over(
    connection: Connection, partition: int, worker: str, stop: asyncio.Event
) -> Position | None:
    """Wait for the partition's lock, then fence out whoever held it; None when told to stop first."""
    given = {"space": PARTITION_LOCK, "partition": partition, "worker": worker, "stuck_s": STUCK_S}
    while True:
        row = await (await connection.execute(QUERIES["try_lock"], given)).fetchone()
        if row is not None and row[0]:
            break
        if (await (await connection.execute(QUERIES["evict"], given)).fetchall()) != []:
            log.warning("partition-evicted", partition=partition)
        try:
            async with asyncio.timeout(RETRY_S):
                await stop.wait()
            return None
        except TimeoutError:
            continue
    await connection.execute(QUERIES["make_position"], given)
    row = await (await connection.execute(QUERIES["take_over"], given)).fetchone()
    assert row is not None
    return Position(partition, *row)


async def meet(connection: Connection, client: Client, position: Position, extent: Extent) -> bool:
    """See whether database and stream meet, and record a break if not; True when the place changed.

    Raises:
        Fenced: another worker took over.
        Unavailable: the stream cannot be asked now.
    """
    partition = position.partition
    is_same = position.sequence > 0 and position.stream == extent.identity
    is_held = is_same and await stream.holds(client, position.sequence, partition)
    found = stream.judge(position.stream, position.sequence, extent, partition, is_held)
    if found is None and position.stream == extent.identity:
        return False
    start = found.sequence if found is not None else 0
    given = {"partition": partition, "stream": extent.identity, "fence": position.fence, "sequence": start}
    async with connection.transaction():
        if found is not None:
            metrics.lost.labels(partition, found.reason).inc()
            log.error("stream-break", partition=partition, reason=found.reason, was=position.sequence)
            detail = {"stream": extent.identity, "was": position.stream, "sequence": position.sequence}
            note = {"partition": partition, "reason": found.reason, "detail": jsonb(detail)}
            await connection.execute(QUERIES["note_break"], note)
        if (await connection.execute(QUERIES["settle"], given)).rowcount != 1:
            raise Fenced(f"partition {partition}")
    position.stream, position.sequence = extent.identity, start
    return True


async def move(connection: Connection, position: Position, to: int) -> int:
    """Move the place to `to`, inside the caller's transaction; return the instant of recording in µs.

    Raises:
        Fenced: another worker took over.
    """
    given = {**_held(position), "from": position.sequence, "to": to}
    row = await (await connection.execute(QUERIES["move"], given)).fetchone()
    if row is None:
        raise Fenced(f"partition {position.partition}")
    return to_us(row[0])


async def need(connection: Connection, position: Position, first: int) -> None:
    """Say that this partition needs the stream from the sequence `first` on.

    Raises:
        Fenced: another worker took over.
    """
    given = {**_held(position), "needed": first}
    if (await connection.execute(QUERIES["need"], given)).rowcount != 1:
        raise Fenced(f"partition {position.partition}")


def _held(position: Position) -> dict[str, int | str]:
    """Return by what the database knows that this worker still holds the partition."""
    return {"partition": position.partition, "fence": position.fence, "stream": position.stream}


async def purge(connection: Connection, client: Client) -> None:
    """Let the stream forget what no partition needs.

    Raises:
        Unavailable: the stream cannot be asked now.
    """
    rows = await (await connection.execute(QUERIES["places"])).fetchall()
    await stream.purge(client, [stream.Place(*row) for row in rows])
