"""Takes a partition up where whoever held it before left it: positions, watches, the state of every device.

The database remembers each gateway's watch every few seconds; the batches stored since are read again from
the stream, which keeps them until the watch is remembered anew, and move it to where it stood. Where that is
not possible the watch is given up, and the gateway's next batch begins a new one.
"""

from typing import Any

import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ingest.intake import Intake, Refused, gateway_named
from ingest.observer import Observer
from ingest.place import Position
from ingest.reader import Reader
from ingest.registry import QUERIES
from ingest.writes import WatchRow
from muster.clock import Clock, to_us
from muster.errors import IntegrityError
from muster.watch import Watch

log = structlog.get_logger()

Connection = AsyncConnection[TupleRow]
REPLAY_WAIT_S = 5.0


async def restore(
    connection: Connection, client: Client, intake: Intake, position: Position, clock: Clock
) -> dict[int, Observer]:
    """Return the observers of a partition by gateway, as they stood at `position`.

    Raises:
        Unavailable: the stream cannot be read now.
    """
    found = await _remembered(connection, intake, position.stream)
    rows = await _rows(connection, "gateway_positions", {"partition": intake.partition})
    ends = {row[0]: (row[1], row[2], to_us(row[3])) for row in rows}
    behind = [
        observer
        for gateway, observer in found.items()
        if observer.watch is not None and (observer.epoch, observer.sequence) != ends[gateway][:2]
    ]
    if behind:
        await _replay(connection, client, intake, behind, position.sequence, clock)
    for gateway, observer in found.items():
        epoch, last, until = ends[gateway]
        if (observer.epoch, observer.sequence) != (epoch, last):
            log.warning("watch-given-up", gateway=gateway, partition=intake.partition)
            observer.watch = None
        observer.epoch, observer.sequence, observer.watched_until = epoch, last, until
        observer.registry_version = -1
    return found


async def known_identities(connection: Connection, gateway: int) -> dict[int, bytes]:
    """Return the digest of what each device of a gateway said last."""
    cursor = await connection.execute(QUERIES["identities"], {"gateway": gateway})
    return dict(await cursor.fetchall())


async def _rows(connection: Connection, name: str, given: dict[str, Any]) -> list[TupleRow]:
    return await (await connection.execute(QUERIES[name], given)).fetchall()


async def _remembered(connection: Connection, intake: Intake, stream: str) -> dict[int, Observer]:
    """Return the observers as the database remembers them, some of them behind."""
    given = {"partition": intake.partition}
    found: dict[int, Observer] = {}
    for gateway, epoch, sequence, until in await _rows(connection, "gateway_positions", given):
        observer = Observer(gateway, intake.partition, intake.stride, intake.registry)
        observer.epoch, observer.sequence, observer.watched_until = epoch, sequence, to_us(until)
        observer.watch_epoch = epoch
        observer.identities = await known_identities(connection, gateway)
        found[gateway] = observer
    for row in await _rows(connection, "newest_watches", given):
        gateway, number, span, epoch, valid_to, recorded_to, live, ended = row
        until = to_us(valid_to)
        found[gateway].row = WatchRow(
            number, span, gateway, None, epoch, until, until, to_us(recorded_to), live, ended, stored=True
        )
    for gateway, of_stream, place, epoch, sequence, body in await _rows(connection, "memories", given):
        observer = found[gateway]
        is_last = (epoch, sequence) == (observer.epoch, observer.sequence)
        if observer.row is None or observer.row.ended or not (is_last or of_stream == stream):
            continue
        try:
            observer.watch = Watch.from_bytes(body)
        except IntegrityError as error:
            log.error("memory-damaged", gateway=gateway, partition=intake.partition, error=str(error))
            continue
        observer.stream_sequence = observer.remembered = place
        observer.epoch, observer.sequence = epoch, sequence
        observer.watched_until = observer.watch.until_us
    return found


async def _replay(
    connection: Connection,
    client: Client,
    intake: Intake,
    behind: list[Observer],
    sequence: int,
    clock: Clock,
) -> None:
    """Move observers forward by the batches that were stored after they were remembered."""
    since = min(observer.remembered for observer in behind)
    given = {"partition": intake.partition, "sequence": since}
    stored = {row[0] for row in await _rows(connection, "batches_since", given)}
    moving = {observer.gateway: observer for observer in behind}
    async with Reader(client, intake.partition, since, clock) as reader:
        while group := await reader.group(REPLAY_WAIT_S):
            for message in group:
                if message.stream_sequence > sequence:
                    return
                gateway = gateway_named(message.subject)
                mine = moving.get(gateway)
                if mine is None or message.stream_sequence not in stored:
                    continue
                if message.stream_sequence > mine.remembered:
                    try:
                        mine.replay(intake.check(message))
                    except Refused as refused:
                        log.warning("replay-refused", gateway=gateway, reason=refused.reason)
            if group[-1].stream_sequence >= sequence:
                return
