"""The one job that rolls scans up: a minute per device, then the hours those minutes lie in.

`rollup_due` names the minutes that scans came into; a minute is worked on once it has passed. Late scans mark
their minute again, and it is computed afresh from all its scans, so a roll-up always equals a fresh
computation.
A mark that changed while its minute was worked on stays for the next pass.
"""

from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from store.connection import translated
from store.queries import load

_QUERIES = load("store", "rollup.sql")
SETTLE = timedelta(seconds=5)
"""How long after its end a minute is first worked on."""
MARKS = 500
"""How many marks one transaction works on at most."""


async def roll_up(connection: AsyncConnection[TupleRow]) -> int:
    """Roll up the oldest due minutes and their hours in one transaction; return how many marks that were.

    Raises:
        Unavailable: the database cannot be reached now; nothing was changed.
    """
    with translated():
        async with connection.transaction():
            cursor = await connection.execute(_QUERIES["due"], {"settle": SETTLE, "marks": MARKS})
            due = await cursor.fetchall()
            if not due:
                return 0
            partitions, strides, times, devices, marks = (list(column) for column in zip(*due, strict=True))
            named = {
                "partitions": partitions,
                "strides": strides,
                "times": times,
                "devices": devices,
                "marks": marks,
            }
            await connection.execute(_QUERIES["minutes"], named)
            await connection.execute(_QUERIES["hours"], named)
            await connection.execute(_QUERIES["done"], named)
    return len(due)
