"""How long questions take through the product's own statements: past counts, the latest values, a device's past.

The limit of each is the same answer read from a table that holds nothing else, over the same connection. What is
written beforehand (`year.sql`) is a year of presence with an outage every other day, an hour of scans in the partitions
of a day, and roll-ups of a month and a day.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import make_conninfo

from api.database import Database, Reading
from benchmarks.samples import Pairs
from benchmarks.servers import Servers, servers
from bus.subjects import PARTITIONS
from evidence.counting import instant, questions
from evidence.counting.count import count
from evidence.counting.timeline import window
from muster.clock import to_us
from muster.presence import Definition
from store import engine, partitions
from store.checkpoints import make_checkpoints
from store.connection import connected, pool
from store.partitions import RAW
from store.queries import load
from store.roles import set_passwords

SQL = load("benchmarks", "year.sql")
DAYS = 360
TAGS = 5000
PREPARED_AFTER = 6
"""Times that a question is put before it is measured: a connection of the API's pool has then prepared it."""
_LAST = "scans"
"""Written when everything else is there, so that the newest are as young as in a plant that runs."""
_DEFINITION = Definition()
Question = Callable[[Reading], Awaitable[None]]


def measure(repeats: int, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return ms of each question at each number of devices, beside its limit."""
    return {f"{devices} devices": _at(devices, repeats) for devices in sizes}


def _at(devices: int, repeats: int) -> dict[str, Any]:
    with servers() as around:
        begin = datetime.now(UTC) - timedelta(days=DAYS + 1)
        _write(around, devices, begin)
        return asyncio.run(_ask(around, begin, repeats))


def _write(around: Servers, devices: int, begin: datetime) -> None:
    asked = {"devices": devices, "begin": begin, "partitions": PARTITIONS}
    with psycopg.connect(around.owner, autocommit=True) as session:
        for name, statement in SQL.items():
            if name != _LAST:
                session.execute(statement, asked if "%(" in statement else None)
        session.execute("vacuum analyze")
        asyncio.run(_keep(around.owner))
        session.execute(SQL[_LAST])


async def _keep(owner: str) -> None:
    """Make the checkpoints that the keeper would have made over the year, and the partitions of its last day."""
    async with connected(owner, "keeper") as connection:
        while await make_checkpoints(connection):
            pass
        await connection.execute("vacuum analyze")
        if not (await engine.detect(connection)).hypertable:
            now = datetime.now(UTC)
            for hours in range(24, -1, -1):
                await partitions.ensure(connection, RAW[0], now - timedelta(hours=hours), partitions.HOUR)


async def _ask(around: Servers, begin: datetime, repeats: int) -> dict[str, Any]:
    password = secrets.token_hex(16)
    await set_passwords(around.owner, {"muster_api": password})
    draw = random.Random(1)

    async def past(reading: Reading) -> None:
        at = begin + timedelta(days=draw.uniform(1, DAYS))
        devices = await instant.states(reading.connection, at, reading.now, _DEFINITION)
        count(devices, "rehearsal", {})

    async def month(reading: Reading) -> None:
        to = begin + timedelta(days=draw.uniform(31, DAYS))
        start = to - timedelta(days=30)
        found = await questions.stretches(reading.connection, start, to, reading.now, _DEFINITION)
        window(found, "rehearsal", to_us(start), to_us(to))

    async def latest(reading: Reading) -> None:
        rows = await _rows(reading, "select * from latest_reading")
        if rows != TAGS:
            raise RuntimeError(f"{rows} latest values instead of {TAGS}")

    async def of_one(reading: Reading, question: LiteralString, least: int) -> None:
        cursor = await reading.connection.execute("select min(device) from tag")
        rows = await _rows(reading, question, {"device": (await cursor.fetchone() or (0,))[0]})
        if rows < least:
            raise RuntimeError(f"{rows} rows of a device instead of {least}")

    async def month_by_hour(reading: Reading) -> None:
        await of_one(
            reading, "select * from rollup_hourly where device = %(device)s order by position, time", 7200
        )

    async def bare_month(reading: Reading) -> None:
        await of_one(reading, "select * from bare_month", 7200)

    async def day_by_minute(reading: Reading) -> None:
        await of_one(reading, "select * from rollup where device = %(device)s order by position, time", 14400)

    async def bare_day(reading: Reading) -> None:
        await of_one(reading, "select * from bare_day", 14400)

    async def bare_states(reading: Reading) -> None:
        await _rows(reading, "select * from bare_states")

    async def bare_latest(reading: Reading) -> None:
        await _rows(reading, "select * from bare_latest")

    questions_and_limits = {
        "count_past": (past, bare_states),
        "window_30_days": (month, bare_states),
        "latest_5000": (latest, bare_latest),
        "month_by_hour": (month_by_hour, bare_month),
        "day_by_minute": (day_by_minute, bare_day),
    }
    async with pool(
        make_conninfo(around.owner, user="muster_api", password=password), "bench", most=1
    ) as way:
        database = Database(way, 60.0)
        found = {}
        for name, (question, limit) in questions_and_limits.items():
            pairs = Pairs()
            for _ in range(PREPARED_AFTER):
                await _ms(database, question)
                await _ms(database, limit)
            for _ in range(repeats):
                pairs.add(await _ms(database, question), await _ms(database, limit))
            found[name] = {"ms": pairs.summary()["ours"], "to_bare": pairs.summary()}
        return found


async def _rows(reading: Reading, statement: LiteralString, asked: dict[str, int] | None = None) -> int:
    async with reading.connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, asked)
        return len(await cursor.fetchall())


async def _ms(database: Database, question: Question) -> float:
    """Return how long a question takes with its transaction, in ms."""
    begin = time.perf_counter()
    async with database.reading(None) as reading:
        await question(reading)
    return 1000 * (time.perf_counter() - begin)
