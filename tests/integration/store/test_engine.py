"""TimescaleDB under the same tables and views: the same answers, also of what was stored before it came.

Runs where `MUSTER_TEST_DATABASE_URL` names a server whose template has the extension.
"""

import math
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from deploy.doctor import kept_in
from store import budget, engine, partitions
from store.connection import connected
from store.engine import AHEAD, BACK, SETTLE
from store.partitions import RAW_IN_CHUNKS
from store.rollup import roll_up
from tests.conftest import Database
from tests.integration.ingest.pretend import Installation, rows

SCAN = RAW_IN_CHUNKS[0]
HOUR = timedelta(hours=1)
PASSED = timedelta(minutes=5)
"""Minutes so old are all due for roll-up; younger ones become it while a test runs, and its answers grow."""
DEVICES = 6
ASKED = (
    "select device, time, received, value, quality, batch from any_scan order by batch",
    "select device, tag, time, value, quality, batch from reading order by device, tag, time, batch, value",
    "select device, tag, time, value, quality, batch from latest_reading order by 1, 2",
    "select device, time, value, quality, batch from latest_scan order by 1",
    "select * from rollup_minute order by device, time",
    "select * from rollup_hour order by device, time",
)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[AsyncConnection[TupleRow]]:
    async with connected(database.owner, "test") as connection:
        if not (await engine.detect(connection)).hypertable:
            pytest.skip("the server has no TimescaleDB (name one in MUSTER_TEST_DATABASE_URL)")
        yield connection


def scans(seed: int, now: datetime, count: int = 400) -> list[tuple[Any, ...]]:
    """Scans of random devices: late, sparse, of bad quality, not a number, huge, empty, of odd times."""
    chance = random.Random(seed)
    odd = (math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0)
    made: list[tuple[Any, ...]] = []
    for number in range(count):
        size = chance.randint(0, 5)
        values = [
            chance.choice(odd)
            if chance.random() < 0.1
            else None
            if chance.random() < 0.1
            else chance.gauss(0, 9)
            for _ in range(size)
        ]
        quality = [chance.choice((0, 0, 100, 201)) for _ in range(size)] if chance.random() < 0.3 else None
        at = now - timedelta(microseconds=chance.randrange(3 * 3600 * 10**6))
        if chance.random() < 0.1:
            at += chance.choice((-1, 1)) * timedelta(days=chance.choice((20, 40, 4000)))
        made.append((chance.randint(1, DEVICES), at, now, chance.randint(1, 4), values, quality, number))
    return made


def store(dsn: str, made: list[tuple[Any, ...]], now: datetime, *, divided: bool) -> None:
    """Store scans and mark their minutes, as ingest does. divided: odd times have a table of their own."""
    with psycopg.connect(dsn) as session:
        for device, at, received, first, values, quality, batch in made:
            table = "scan_other" if divided and not now - BACK <= at < now + AHEAD else "scan"
            bounds = f"[{first}:{first + len(values) - 1}]=" if values else ""
            session.execute(
                f"insert into {table} values (%s, %s, %s, (%s || %s::float8[]::text)::float8[],"
                " (%s || %s::smallint[]::text)::smallint[], %s)",
                (device, at, received, bounds, values, bounds, quality, batch),
            )
            session.execute(
                "insert into rollup_due values (%s, 4, %s, %s, nextval('rollup_mark_seq'))"
                " on conflict (time, partition, device, stride) do update set marked = excluded.marked",
                (device % 4, at.replace(second=0, microsecond=0), device),
            )


async def answers(dsn: str) -> list[str]:
    """Return what people read, after everything was rolled up; as text, for NaN is not equal to itself."""
    async with connected(dsn, "test") as connection:
        while await roll_up(connection, timedelta(0)):
            pass
        await connection.execute("select set_config('muster.enterprise', 'all', false)")
        return [repr(await (await connection.execute(query.encode())).fetchall()) for query in ASKED]


async def turn(connection: AsyncConnection[TupleRow], until: datetime) -> int:
    """Turn chunks into columns, as the keeper does; return how many, -1 where the edition has none."""
    if not (await engine.detect(connection)).columnstore:
        return -1
    return await engine.into_columns(connection, until)


@pytest.mark.parametrize("seed", range(3))
async def test_both_engines_give_the_same_answers(
    owner: AsyncConnection[TupleRow], database: Database, plain_database: Database, seed: int
) -> None:
    now = datetime.now(UTC) - PASSED
    made = scans(seed, now)
    for one, divided in ((database, True), (plain_database, False)):
        Installation.make(one.owner, devices=DEVICES)
        store(one.owner, made, now, divided=divided)
    expected = await answers(plain_database.owner)
    assert await answers(database.owner) == expected
    assert await turn(owner, now + 2 * HOUR + SETTLE) != 0
    assert await answers(database.owner) == expected
    late = [(*scan[:6], scan[6] + len(made)) for scan in scans(seed + 100, now)]
    for one, divided in ((database, True), (plain_database, False)):
        store(one.owner, late, now, divided=divided)
    expected = await answers(plain_database.owner)
    assert await answers(database.owner) == expected
    assert await turn(owner, now + 2 * HOUR + SETTLE) != 0
    assert await answers(database.owner) == expected
    assert await turn(owner, now + 2 * HOUR + SETTLE) <= 0


async def test_what_was_stored_before_the_extension_came_stays(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    now = datetime.now(UTC) - PASSED
    Installation.make(plain_database.owner, devices=DEVICES)
    store(plain_database.owner, scans(7, now), now, divided=False)
    before = await answers(plain_database.owner)
    async with connected(plain_database.owner, "test") as plain:
        await plain.execute("create extension timescaledb")
    async with connected(plain_database.owner, "test") as plain:
        assert (await engine.settle(plain, now)).hypertable
        assert (await engine.settle(plain, now)).hypertable
    assert await answers(plain_database.owner) == before
    with psycopg.connect(plain_database.ingest) as session:
        session.execute("insert into scan values (1, now(), now(), '{1}', null, 1)")
        session.execute("insert into scan_other values (1, now(), now(), '{1}', null, 1)")


async def test_over_budget_the_oldest_chunk_goes_whole_with_its_record(
    owner: AsyncConnection[TupleRow], database: Database
) -> None:
    now = datetime.now(UTC).replace(minute=30)
    for hours in range(5):
        await owner.execute(
            "insert into scan select n, %s, %s, array(select random() + n * 0 from generate_series(1, 300)), null, 1"
            " from generate_series(1, 500) n",
            (now - hours * HOUR, now),
        )
    await turn(owner, now)
    chunks = await partitions.existing(owner, SCAN)
    assert [chunk.end - chunk.start for chunk in chunks] == [HOUR] * 5
    used = await budget.measure(owner, 2**40)
    limit = int((used.bytes - chunks[0].bytes // 2) / budget.FILL)
    assert not (await budget.enforce(owner, limit, now, RAW_IN_CHUNKS)).over
    kept = await partitions.existing(owner, SCAN)
    assert kept == chunks[len(chunks) - len(kept) :]
    recorded = rows(
        database.owner, "select from_time, to_time, bytes from retention where relation = 'scan' order by 1"
    )
    assert recorded == [(chunk.start, chunk.end, chunk.bytes) for chunk in chunks[: len(chunks) - len(kept)]]
    assert recorded


async def test_scans_of_odd_times_are_emptied_whole(
    owner: AsyncConnection[TupleRow], database: Database
) -> None:
    await owner.execute("insert into scan_other values (1, '1999-01-01Z', now(), '{1}', null, 1)")
    assert await partitions.empty_other(owner, SCAN, "odd-times") > 0
    assert rows(database.owner, "select count(*) from scan_other") == [(0,)]
    assert rows(database.owner, "select relation, from_time from retention") == [
        ("scan_other", datetime(1999, 1, 1, tzinfo=UTC))
    ]


async def test_the_edition_is_told_with_its_version_and_what_is_missing(
    owner: AsyncConnection[TupleRow],
) -> None:
    offered = await engine.detect(owner)
    found = await kept_in(owner)
    assert found.key == ("doctor.engine-columns" if offered.columnstore else "doctor.engine-apache")
    assert found.well
    assert offered.timescale in found.says("en")
    assert ("no columnstore" in found.says("en")) is not offered.columnstore


async def test_without_the_extension_it_is_told_whether_the_server_has_it(plain_database: Database) -> None:
    async with connected(plain_database.owner, "test") as connection:
        found = await kept_in(connection)
    assert found.key in ("doctor.engine-plain", "doctor.engine-available")
    assert str(found.facts["postgresql"]) in found.says("en")
