"""The job that makes checkpoints of the frame and of presence, by which a past count reads few rows (0012, 0017).

A checkpoint is made after so many changes that never many lie between one and the next, and so that those of
presence together take less room than presence itself. While one is made nobody writes what it is made from; that
is some milliseconds for the spans of one transaction.
"""

from datetime import timedelta

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from store.connection import translated
from store.queries import load

_QUERIES = load("store", "checkpoints.sql")
SETTLE = timedelta(minutes=5)
"""How far the newest checkpoint lies back at least."""
LEAST = 8
"""How many changes make a checkpoint worth its row."""
AT_ONCE = 100
"""Spans of one transaction."""
MOST = 20_000
"""How many are made at a time, some seconds' work; more are left by a database from before there were any."""
_PATIENCE = "set local lock_timeout = '2s'"


async def make_checkpoints(
    connection: AsyncConnection[TupleRow], settle: timedelta = SETTLE, least: int = LEAST
) -> int:
    """Make every checkpoint that is due; return how many. Gives up for now when writers keep it waiting.

    Raises:
        Unavailable: the database cannot be reached now; what was made before stays.
    """
    made = 0
    rule: dict[str, object] = {"settle": settle, "least": least}
    with translated():
        try:
            while done := await _step(connection, "frame_alone", "make_frames", rule):
                made += len(done)
            span, enterprise = 0, 0
            while made < MOST and (due := await _due(connection, span, enterprise)):
                span, enterprise = due[-1]
                ready = due
                while ready and made < MOST:
                    asked = {**_columns(ready), **rule}
                    ready = await _step(connection, "presence_alone", "make_presence", asked)
                    made += len(ready)
                if not ready:
                    await connection.execute(_QUERIES["done"], _columns(due))
        except psycopg.errors.LockNotAvailable:
            pass
    return made


async def _due(connection: AsyncConnection[TupleRow], span: int, enterprise: int) -> list[TupleRow]:
    asked = {"span": span, "enterprise": enterprise, "limit": AT_ONCE}
    return await (await connection.execute(_QUERIES["due"], asked)).fetchall()


def _columns(spans: list[TupleRow]) -> dict[str, object]:
    return {"span": [row[0] for row in spans], "enterprise": [row[1] for row in spans]}


async def _step(
    connection: AsyncConnection[TupleRow], alone: str, make: str, asked: dict[str, object]
) -> list[TupleRow]:
    """Make the next checkpoint wherever one is due; return where one was made."""
    async with connection.transaction():
        await connection.execute(_PATIENCE)
        await connection.execute(_QUERIES[alone])
        return await (await connection.execute(_QUERIES[make], asked)).fetchall()
