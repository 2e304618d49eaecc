"""The one job that rolls scans up: a minute per device, then the hours those minutes lie in.

`rollup_due` names the minutes that scans came into; a minute is worked on once it has passed. Late scans mark
their minute again, and it is computed afresh from all its scans, so a roll-up always equals a fresh
computation.
A mark that changed while its minute was worked on stays for the next pass. `rollup_hour_due` names the hours of
minutes that were worked on; an hour is computed when it has ended, and while it runs at most every ten minutes.
"""

from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from store.connection import translated
from store.queries import load

_QUERIES = load("store", "rollup.sql")
SETTLE = timedelta(seconds=5)
"""How long after its end a minute is first worked on."""
MARKS = 500
"""How many marks one transaction works on at most."""


PATIENCE = timedelta(minutes=10)
"""How long an hour that still runs waits until it is computed with the minutes that came since."""


async def roll_up(connection: AsyncConnection[TupleRow], patience: timedelta = PATIENCE) -> int:
    """Roll up the oldest due minutes, and hours, in one transaction; return how many marks that were.

    Raises:
        Unavailable: the database cannot be reached now; nothing was changed.
    """
    with translated():
        async with connection.transaction():
            cursor = await connection.execute(_QUERIES["due"], {"settle": SETTLE, "marks": MARKS})
            minutes = await cursor.fetchall()
            if minutes:
                named = _columns(minutes, "partitions", "strides", "times", "devices", "marks")
                for statement in ("minutes", "done", "mark_hours"):
                    await connection.execute(_QUERIES[statement], named)
            cursor = await connection.execute(_QUERIES["take_hours"], {"patience": patience, "marks": MARKS})
            hours = await cursor.fetchall()
            if hours:
                await connection.execute(
                    _QUERIES["hours"], _columns(hours, "partitions", "strides", "times", "devices")
                )
    return max(len(minutes), len(hours))


def _columns(rows: list[TupleRow], *names: str) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
