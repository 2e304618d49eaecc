"""The one job that rolls scans up: a minute per device, then the hours those minutes lie in.

`rollup_due` names the minutes that scans came into; a minute is worked on once it has passed. Late scans mark
their minute again, and it is computed afresh from all its scans, so a roll-up always equals a fresh
computation. A mark that changed while its minute was worked on stays for the next pass.

Scans are read a few devices at a time and rolled up as arrays (`scan_rows`, `tag_minutes`); a device's minute with
scans that no gateway sends, or with very many, is rolled up by the database itself, by the same rules.

`rollup_hour_due` names the hours of minutes that were worked on; an hour is computed when it has ended, and while it
runs at most every ten minutes.
"""

from datetime import timedelta
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.clock import to_datetime
from store.binary import EPOCH_US, HEADER, TRAILER
from store.connection import translated
from store.queries import load
from store.rollup_rows import rollup_rows
from store.scan_rows import parts
from store.tag_minutes import tag_minutes

_QUERIES = load("store", "rollup.sql")
SETTLE = timedelta(seconds=5)
"""How long after its end a minute is first worked on."""
MARKS = 500
"""How many marks of single devices one transaction works on at most; one of a whole partition has its own."""
PATIENCE = timedelta(minutes=10)
"""How long an hour that still runs waits until it is computed with the minutes that came since."""
TAGS = 1250
"""Scans are read of devices that have together at most so many tags, or of one device."""
MOST_SCANS = 4000
MOST_READINGS = 8_000_000
"""A device's minute that has more scans, or scans that may have more readings, is left to the database."""


async def roll_up(connection: AsyncConnection[TupleRow], patience: timedelta = PATIENCE) -> int:
    """Roll up the oldest due minutes, and hours, in a transaction each; return how many marks that were.

    Raises:
        Unavailable: the database cannot be reached now; nothing was changed, or the minutes only.
    """
    with translated():
        async with connection.transaction():
            cursor = await connection.execute(_QUERIES["due"], {"settle": SETTLE, "marks": MARKS})
            minutes = _at_once(await cursor.fetchall())
            if minutes:
                named = _columns(minutes, "partitions", "strides", "times", "devices", "marks")
                await _roll_minutes(connection, named)
                for statement in ("done", "mark_hours"):
                    await connection.execute(_QUERIES[statement], named)
        async with connection.transaction():
            cursor = await connection.execute(_QUERIES["due_hours"], {"patience": patience, "marks": MARKS})
            hours = _at_once(await cursor.fetchall())
            if hours:
                named = _columns(hours, "partitions", "strides", "times", "devices")
                for statement in ("forget_hours", "hours"):
                    await connection.execute(_QUERIES[statement], named)
    return max(len(minutes), len(hours))


async def _roll_minutes(connection: AsyncConnection[TupleRow], named: dict[str, list[Any]]) -> None:
    """Compute the named minutes afresh."""
    await connection.execute(_QUERIES["create_rolled"])
    cursor = await connection.cursor(binary=True).execute(_QUERIES["device_minutes"], named)
    due = np.array(await cursor.fetchall(), np.int64).reshape(-1, 3)
    unusual = [await _roll_portion(connection, due[index]) for index in _portions(due[:, 2])]
    await connection.execute(_QUERIES["store_rolled"])
    device, minute, _ = np.concatenate([due[:0], *unusual]).T.tolist()
    if device:
        times = [to_datetime(time + EPOCH_US) for time in minute]
        await connection.execute(_QUERIES["roll_unusual"], {"devices": device, "times": times})


def _portions(tags: NDArray[np.int64]) -> list[slice]:
    """Return which device-minutes, (n,) the tags of each, to roll up at a time."""
    whole = np.cumsum(tags)
    found: list[slice] = []
    at = 0
    while at < len(tags):
        end = int(np.searchsorted(whole, whole[at] - tags[at] + TAGS, side="right"))
        found.append(slice(at, max(end, at + 1)))
        at = found[-1].stop
    return found


async def _roll_portion(connection: AsyncConnection[TupleRow], due: NDArray[np.int64]) -> NDArray[np.int64]:
    """Roll up these device-minutes (device, minute, tags) into the table `rolled`; return those that arrays cannot.

    Raises:
        Unavailable: the database cannot be reached now.
    """
    device, minute, tags = due.T
    most = np.minimum(MOST_READINGS // tags, MOST_SCANS) + 1
    asked = {"devices": device.tolist(), "minutes": minute.tolist(), "most": most.tolist()}
    cursor = await connection.cursor(binary=True).execute(_QUERIES["scans"], asked, prepare=True)
    found, odd = parts(await cursor.fetchall())
    scans = np.zeros(len(due), np.int64)
    for part in found:
        np.add.at(scans, part.pair, 1)
    odd.update(np.flatnonzero(scans >= most).tolist())
    if found:
        async with connection.cursor().copy(_QUERIES["copy_rolled"]) as copy:
            await copy.write(HEADER)
            for rows in rollup_rows(device, minute, tag_minutes(len(due), found), odd):
                await copy.write(rows)
            await copy.write(TRAILER)
    return due[sorted(odd)]


def _at_once(rows: list[TupleRow]) -> list[TupleRow]:
    """Return how many of these marks, the oldest first, one transaction works on: one partition, or single devices."""
    return list(takewhile(lambda row: row[3] != 0, rows)) or rows[:1]


def _columns(rows: list[TupleRow], *names: str) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
