"""Refused batches: a look at them, and storing one after all once its reason is gone.

A replayed batch is checked like any other, keeps its name and gets a number of its own (its `stream_sequence` is
0). It is late by nature: its watch is a row of its own, what it says of sessions is history and opens none, and
the gateway's position does not move.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from bus import subjects
from ingest.intake import Accepted, Intake, Message
from ingest.observer import Observer
from ingest.registry import QUERIES, Registry
from ingest.restore import known_identities
from ingest.roll import Roll
from ingest.writer import write
from ingest.writes import Stored, Writes
from muster.clock import SystemClock, to_us
from muster.errors import Rejected, RequestError
from muster.presence import Definition
from store.connection import connected


@dataclass(frozen=True, slots=True)
class Entry:
    """A refused batch, without its body."""

    id: int
    recorded_at: datetime
    gateway: int | None
    partition: int
    stream_sequence: int
    reason: str
    detail: dict[str, Any]
    bytes: int
    replayed_at: datetime | None
    replayed_batch: int | None


async def entries(database: str, limit: int = 100, before: int | None = None) -> list[Entry]:
    """Return refused batches, newest first; `before` is the last id of the page before.

    Raises:
        Unavailable: the database cannot be reached now.
    """
    async with connected(database, "quarantine") as connection:
        given = {"limit": limit, "before": before}
        rows = await (await connection.execute(QUERIES["quarantined"], given)).fetchall()
    return [Entry(*row) for row in rows]


async def replay(database: str, number: int) -> int:
    """Store the refused batch `number` (as the role muster_ingest) and return the batch's number.

    Raises:
        RequestError: there is no such batch, or it was replayed or stored already.
        Rejected: its reason still holds (`Refused` says which), or the database still refuses it.
        Unavailable: the database cannot be reached now.
    """
    registry = Registry(Definition(), SystemClock())
    async with connected(database, "quarantine") as connection:
        await registry.load(connection)
        try:
            async with connection.transaction():
                accepted = await _accepted(connection, registry, number)
                return await _store(connection, registry, number, accepted)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise Rejected(f"quarantine {number}: {error}") from error


async def _accepted(connection: AsyncConnection[TupleRow], registry: Registry, number: int) -> Accepted:
    row = await (await connection.execute(QUERIES["quarantined_one"], {"id": number})).fetchone()
    if row is None:
        raise RequestError(f"quarantine {number}: there is none", status=404, code="not-found")
    gateway, partition, body, signature, replayed = row
    if replayed is not None:
        raise RequestError(f"quarantine {number}: stored as batch {replayed}", status=409, code="replayed")
    message = Message(0, subjects.batch(partition, gateway or 0), body, signature)
    accepted = Intake(registry, partition).check(message)
    header = accepted.batch.header
    name = {
        "gateway": header.gateway,
        "partition": partition,
        "epoch": header.epoch,
        "sequence": header.sequence,
    }
    same = await (await connection.execute(QUERIES["batch_named"], name)).fetchone()
    if same is not None:
        raise RequestError(f"quarantine {number}: stored as batch {same[0]}", status=409, code="stored")
    return accepted


async def _store(
    connection: AsyncConnection[TupleRow], registry: Registry, number: int, accepted: Accepted
) -> int:
    header = accepted.batch.header
    instant = await (await connection.execute("select clock_timestamp()")).fetchone()
    batch = await (await connection.execute(QUERIES["batch_ids"], {"count": 1})).fetchone()
    watch = await (await connection.execute(QUERIES["watch_ids"], {"count": 1})).fetchone()
    assert instant is not None
    assert batch is not None
    assert watch is not None
    writes = Writes(to_us(instant[0]))
    observer = Observer(header.gateway, header.partition, subjects.PARTITIONS, registry)
    observer.epoch, observer.sequence = header.epoch, header.sequence - 1
    observer.identities = await known_identities(connection, header.gateway)
    observer.take(Stored(batch[0], accepted), watch[0], writes, lease_us=0)
    writes.positions.clear()
    writes.sessions.clear()
    writes.session_ends.clear()
    writes.forgotten.clear()
    roll = Roll()
    roll.take(writes.recorded_us, writes.batches)
    writes.minutes += roll.close()
    await write(connection, writes, header.partition, subjects.PARTITIONS, stream="")
    given = {"id": number, "batch": batch[0], "recorded_at": instant[0]}
    await connection.execute(QUERIES["replayed"], given)
    return int(batch[0])
