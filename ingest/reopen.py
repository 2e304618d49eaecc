"""Takes up the minute that whoever held a partition before had not finished digesting.

The stream still holds those batches, signatures and all: they are checked again and digested from there, never from
the rows that the database has meanwhile.
"""

import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ingest.intake import Intake, Refused
from ingest.place import Position
from ingest.reader import Reader
from ingest.registry import QUERIES
from ingest.restore import REPLAY_WAIT_S
from ingest.roll import Roll
from ingest.writes import DeviceMinutes, Stored
from muster.clock import Clock, to_us

log = structlog.get_logger()


async def reopen(
    connection: AsyncConnection[TupleRow],
    client: Client,
    intake: Intake,
    position: Position,
    first_kept: int,
    clock: Clock,
) -> tuple[Roll, list[DeviceMinutes]]:
    """Return the minute that was open at `position`, and those before it that nobody stored.

    first_kept: the first sequence that the stream holds.

    Raises:
        Unavailable: the stream cannot be read now.
    """
    roll, finished = Roll(), list[DeviceMinutes]()
    given = {"partition": intake.partition, "first": first_kept}
    rows = await (await connection.execute(QUERIES["undigested"], given)).fetchall()
    wanted = {tuple(name): (number, to_us(at)) for *name, _, number, at in rows}
    if not wanted:
        return roll, finished
    async with Reader(client, intake.partition, rows[0][3] - 1, clock) as reader:
        while group := await reader.group(REPLAY_WAIT_S):
            for message in group:
                try:
                    accepted = intake.check(message)
                except Refused as refused:
                    log.debug("batch-passed-over", reason=refused.reason)
                    continue
                header = accepted.batch.header
                found = wanted.pop((header.gateway, header.epoch, header.sequence), None)
                if found is not None:
                    number, recorded_us = found
                    finished += roll.close(recorded_us)
                    roll.take(recorded_us, [Stored(number, accepted)])
            if not wanted or group[-1].stream_sequence >= position.sequence:
                break
    if wanted:
        log.warning("batches-undigested", partition=intake.partition, batches=len(wanted))
    return roll, finished
