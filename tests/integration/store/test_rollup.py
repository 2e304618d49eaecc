"""A roll-up equals a fresh computation from the scans, however they came and in whatever order it worked."""

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from muster.clock import ManualClock
from store import rollup
from store.connection import connected
from store.housekeeping import Housekeeping
from store.rollup import roll_up
from tests.conftest import Database
from tests.integration.ingest.pretend import Installation, rows

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ODD = (0.0, -0.0, 1.5, -2.25, 1e-300, 5e-324, 1e290, 1.7e308, -1.7e308, math.inf, -math.inf, math.nan)

Scan = tuple[int, datetime, int, list[float | None], list[int] | None]
Rolled = dict[tuple[int, datetime], tuple[list[object], ...]]


def made(seed: int, devices: list[int], count: int, odd: bool) -> list[Scan]:
    """Scans at random instants of three hours, with gaps, single tags, bad and missing values."""
    chance = random.Random(seed)
    scans: list[Scan] = []
    for _ in range(count):
        size = chance.randint(1, 4)
        values: list[float | None] = [chance.gauss(0, 9) for _ in range(size)]
        for index in range(size):
            if chance.random() < 0.1:
                values[index] = None
            elif odd and chance.random() < 0.1:
                values[index] = chance.choice(ODD)
        quality = [chance.choice((0, 0, 100, 201)) for _ in range(size)] if chance.random() < 0.3 else None
        at = START + timedelta(microseconds=chance.randrange(3 * 3600 * 10**6))
        scans.append((chance.choice(devices), at, chance.randint(1, 6), values, quality))
    return scans


def store(dsn: str, scans: list[Scan], *, whole: bool) -> None:
    """Store scans and mark their minutes, as ingest does."""
    with psycopg.connect(dsn) as connection:
        for number, (device, at, first, values, quality) in enumerate(scans):
            bounds = f"[{first}:{first + len(values) - 1}]="
            connection.execute(
                "insert into scan values (%s, %s, %s, (%s || %s::float8[]::text)::float8[],"
                " (%s || %s::smallint[]::text)::smallint[], %s)",
                (device, at, at, bounds, values, bounds, quality, number),
            )
            connection.execute(
                "insert into rollup_due values (%s, 4, %s, %s, nextval('rollup_mark_seq'))"
                " on conflict (time, partition, device, stride) do update set marked = excluded.marked",
                (device % 4, at.replace(second=0, microsecond=0), 0 if whole else device),
            )


def mean_of(values: list[float]) -> float:
    """The definition: NaN when a reading is not finite or beyond 1e290, tiny readings weigh nothing."""
    if any(not abs(value) < 1e290 for value in values):
        return math.nan
    total = 0.0
    for value in values:
        if abs(value) > 1e-290:
            total += value
    return 0.0 if abs(total) < 1e-290 else total / len(values)


def by_definition(scans: list[Scan]) -> Rolled:
    """Roll scans up by the minute, slowly."""
    found: dict[tuple[int, datetime], dict[int, list[tuple[datetime, float, int]]]] = {}
    for device, at, first, values, quality in sorted(scans, key=lambda scan: scan[1]):
        tags = found.setdefault((device, at.replace(second=0, microsecond=0)), {})
        for index, value in enumerate(values):
            if value is not None:
                tags.setdefault(first + index, []).append(
                    (at, value, 0 if quality is None else quality[index])
                )
    rolled: Rolled = {}
    for key, tags in found.items():
        if not tags:
            continue
        columns: tuple[list[object], ...] = ([], [], [], [], [], [])
        for position in range(1, max(tags) + 1):
            readings = tags.get(position)
            good = [value for _, value, quality in readings or () if quality == 0]
            row: tuple[object, ...] = (len(readings), len(good)) if readings else (None, None)
            if good:
                ordered = sorted(good, key=lambda value: (math.isnan(value), value))
                row = (*row, ordered[0], ordered[-1], mean_of(good), good[-1])
            else:
                row = (*row, None, None, None, None)
            for column, item in zip(columns, row, strict=True):
                column.append(item)
        rolled[key] = columns
    return rolled


def stored(dsn: str, table: str) -> Rolled:
    query = f"select device, time, count, good, min, max, mean, last from {table}"
    return {(row[0], row[1]): tuple(row[2:]) for row in rows(dsn, query)}


def assert_same(found: Rolled, due: Rolled) -> None:
    assert found.keys() == due.keys()
    for key, columns in due.items():
        for mine, theirs in zip(found[key], columns, strict=True):
            np.testing.assert_array_equal(
                np.array(mine, object).astype(float), np.array(theirs, object).astype(float), str(key)
            )


async def work(dsn: str) -> None:
    async with connected(dsn, "test") as connection:
        while await roll_up(connection):
            continue


@pytest.fixture
def devices(database: Database) -> list[int]:
    made = Installation.make(database.owner, gateways=1, devices=5, tags=9)
    return made.devices[made.gateways[0]]


@pytest.mark.parametrize("seed", range(6))
async def test_minutes_equal_the_definition_with_late_data_in_any_order(
    database: Database, devices: list[int], seed: int
) -> None:
    scans = made(seed, devices, 250, odd=True)
    chance = random.Random(seed)
    rest = scans
    while rest:
        count = chance.randint(1, 100)
        now, rest = rest[:count], rest[count:]
        store(database.owner, now, whole=chance.random() < 0.5)
        await work(database.owner)
    assert rows(database.owner, "select count(*) from rollup_due") == [(0,)]
    assert_same(stored(database.owner, "rollup_minute"), by_definition(scans))


@pytest.mark.parametrize("limit", ["MOST_SCANS", "MOST_READINGS", "TAGS"])
async def test_minutes_with_many_scans_are_the_same_rolled_up_by_the_database(
    database: Database, devices: list[int], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    scans = made(11, devices, 200, odd=True)
    scans += [(device, at, first, [2.5], None) for device, at, first, *_ in scans[::3]]
    store(database.owner, scans, whole=True)
    await work(database.owner)
    usual = stored(database.owner, "rollup_minute")
    with psycopg.connect(database.owner) as connection:
        connection.execute("delete from rollup_minute")
    monkeypatch.setattr(rollup, limit, 1)
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into rollup_due select distinct mod(device, 4), 4, date_trunc('minute', time), 0, 1 from scan"
        )
    await work(database.owner)
    assert_same(stored(database.owner, "rollup_minute"), usual)


@pytest.mark.parametrize(
    ("values", "quality", "counts"),
    [
        ("{}", None, [2, 1]),
        ("{{3,4},{5,6}}", None, [3, 2, 1, 1]),
        ("[0:1]={3,4}", None, [3, 1]),
        ("[32767:32768]={3,4}", None, [2, 1, *[None] * 32764, 1, 1]),
        ("{3,4}", "{100}", [3, 2]),
        ("{3,4}", "{NULL,100,7}", [3, 2]),
    ],
)
async def test_arrays_that_no_gateway_sends_are_rolled_up_too(
    database: Database, devices: list[int], values: str, quality: str | None, counts: list[int | None]
) -> None:
    store(
        database.owner,
        [(devices[0], START, 1, [1.0, 2.0], None), (devices[0], START + MINUTE / 2, 1, [1.0], None)],
        whole=True,
    )
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into scan values (%s, %s, %s, %s, %s, 1)", (devices[0], START, START, values, quality)
        )
    await work(database.owner)
    assert stored(database.owner, "rollup_minute")[(devices[0], START)][0] == counts


async def test_several_keepers_at_once_harm_nothing(database: Database, devices: list[int]) -> None:
    scans = made(12, devices, 300, odd=True)
    for part in (scans[:150], scans[150:]):
        store(database.owner, part, whole=False)
        await asyncio.gather(*(work(database.owner) for _ in range(3)))
    assert rows(database.owner, "select count(*) from rollup_due") == [(0,)]
    assert rows(database.owner, "select count(*) from rollup_hour_due") == [(0,)]
    assert_same(stored(database.owner, "rollup_minute"), by_definition(scans))


async def test_hours_after_late_data_equal_hours_made_at_once(database: Database, devices: list[int]) -> None:
    scans = made(7, devices, 300, odd=True)
    for part in (scans[:100], scans[100:120], scans[120:]):
        store(database.owner, part, whole=False)
        await work(database.owner)
    late = stored(database.owner, "rollup_hour")
    with psycopg.connect(database.owner) as connection:
        connection.execute("delete from rollup_hour")
        connection.execute("delete from rollup_minute")
        connection.execute(
            "insert into rollup_due select distinct mod(device, 4), 4, date_trunc('minute', time), 0, 1 from scan"
        )
    await work(database.owner)
    assert_same(stored(database.owner, "rollup_hour"), late)
    (total,) = rows(database.owner, "select sum(c) from rollup_hour, unnest(count) c")
    assert total == (sum(value is not None for scan in scans for value in scan[3]),)


async def test_a_minute_is_not_rolled_up_before_it_has_passed(database: Database, devices: list[int]) -> None:
    now = datetime.now(UTC)
    store(database.owner, [(devices[0], now, 1, [1.0], None)], whole=True)
    await work(database.owner)
    assert stored(database.owner, "rollup_minute") == {}
    far = now + timedelta(days=400)
    store(database.owner, [(devices[0], far, 1, [1.0], None)], whole=True)
    await work(database.owner)
    assert len(stored(database.owner, "rollup_minute")) == 1


async def test_an_hour_that_runs_waits_and_one_that_has_ended_does_not(
    database: Database, devices: list[int]
) -> None:
    now = datetime.now(UTC)
    passed, running = now - timedelta(hours=2), now.replace(minute=0, second=0, microsecond=0)
    if now - running < timedelta(minutes=2):
        running += timedelta(hours=2)  # an hour to come waits like one that runs
    store(database.owner, [(devices[0], at, 1, [1.0], None) for at in (passed, running)], whole=True)
    await work(database.owner)
    assert len(stored(database.owner, "rollup_minute")) == 2
    (first,) = stored(database.owner, "rollup_hour")
    assert first[1] == passed.replace(minute=0, second=0, microsecond=0)

    async with connected(database.owner, "test") as connection:
        await connection.execute("update rollup_hour_due set marked_at = marked_at - %s", (rollup.PATIENCE,))
        assert await roll_up(connection) == 1
        assert await roll_up(connection) == 0
    assert {hour for _, hour in stored(database.owner, "rollup_hour")} == {first[1], running}
    store(database.owner, [(devices[0], passed, 1, [2.0], None)], whole=True)
    await work(database.owner)
    assert stored(database.owner, "rollup_hour")[first][0] == [2]


async def test_a_mark_set_while_its_minute_is_worked_on_stays(database: Database, devices: list[int]) -> None:
    store(database.owner, [(devices[0], START, 1, [1.0], None)], whole=True)
    with psycopg.connect(database.owner) as writer:
        writer.execute("insert into scan values (%s, %s, %s, '{2}', null, 1)", (devices[0], START, START))
        writer.execute("update rollup_due set marked = nextval('rollup_mark_seq')")
        async with connected(database.owner, "test") as connection:
            working = asyncio.create_task(roll_up(connection))
            await asyncio.sleep(0.3)
            assert not working.done()
            await asyncio.to_thread(writer.commit)
            await working
    assert len(rows(database.owner, "select * from rollup_due")) == 1
    await work(database.owner)
    assert stored(database.owner, "rollup_minute")[(devices[0], START)][0] == [2]


async def test_what_was_rolled_up_survives_the_loss_of_its_raw_scans(
    database: Database, devices: list[int]
) -> None:
    store(database.owner, [(devices[0], START, 1, [float(n)], None) for n in range(5)], whole=True)
    await work(database.owner)
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("truncate scan")
        owner.execute(
            "insert into retention (relation, from_time, to_time, bytes, reason) values ('scan', %s, %s, 1, 'x')",
            (START - MINUTE, START + 60 * MINUTE),
        )
    store(database.owner, [(devices[0], START, 1, [9.0], None)], whole=True)
    store(database.owner, [(devices[1], START, 1, [9.0], None)], whole=True)
    await work(database.owner)
    found = stored(database.owner, "rollup_minute")
    assert found[(devices[0], START)][0] == [5]
    assert found[(devices[1], START)][0] == [1]


async def test_the_views_give_one_row_per_tag(database: Database, devices: list[int]) -> None:
    store(database.owner, [(devices[0], START, 3, [4.0, None], None)], whole=True)
    await work(database.owner)
    for view in ("rollup", "rollup_hourly"):
        found = rows(database.owner, f"select device, position, tag, count, good, mean, last from {view}")
        assert found == [(devices[0], 3, "t3", 1, 1, 4.0, 4.0)]


async def test_house_keeping_comes_back_after_the_server_ends_its_session(database: Database) -> None:
    clock = ManualClock()
    keeping = Housekeeping(database.owner, 2**40, 60, clock)
    stop = asyncio.Event()
    task = asyncio.create_task(keeping.run(stop))
    async with asyncio.timeout(20):
        await keeping.ready.wait()
        keeping.ready.clear()
        kill = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'muster keeper' and datname = current_database()"
        )
        assert rows(database.owner, kill) == [(True,)]
        clock.advance(120)
        await keeping.ready.wait()
        stop.set()
        await task
    (count,) = rows(database.owner, "select count(*) from pg_inherits where inhparent = 'batch'::regclass")
    assert count > (1,)
