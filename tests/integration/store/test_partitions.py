"""Partitions on a real server: made ahead, made late, dropped whole, with what stood in their way."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.errors import Unavailable
from store import budget, partitions
from store.connection import connected
from store.partitions import MINUTES, RAW
from tests.conftest import Database
from tests.integration.ingest.pretend import rows

SCAN, TEXT, BATCH = RAW
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
MEGABYTE = 2**20


@pytest.fixture
async def owner(plain_database: Database) -> AsyncIterator[AsyncConnection[TupleRow]]:
    async with connected(plain_database.owner, "test") as connection:
        yield connection


async def scans_at(owner: AsyncConnection[TupleRow], time: datetime, count: int = 1, values: int = 1) -> None:
    """Store scans of one instant that take some room."""
    await owner.execute(
        "insert into scan select n, %s, %s, array(select random() + n * 0 from generate_series(1, %s)), null, 1"
        " from generate_series(1, %s) n",
        (time, time, values, count),
    )


async def test_partitions_are_made_ahead_and_only_once(owner: AsyncConnection[TupleRow]) -> None:
    made = await partitions.ensure(owner, SCAN, NOW, HOUR)
    assert made == [
        "scan_p20261123_0600",
        "scan_p20261123_0700",
        "scan_p20261123_0800",
        "scan_p20261123_0900",
    ]
    assert await partitions.ensure(owner, SCAN, NOW, HOUR) == []
    assert await partitions.ensure(owner, SCAN, NOW + HOUR, HOUR) == ["scan_p20261123_1000"]


async def test_rows_that_came_before_their_partition_move_into_it(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    for hours in (-30, 0, 1, 9000):
        await scans_at(owner, NOW + hours * HOUR, 3)
    await partitions.ensure(owner, SCAN, NOW, HOUR)
    query = "select tableoid::regclass::text, count(*) from scan group by 1 order by 1"
    assert rows(plain_database.owner, query) == [
        ("scan_other", 6),
        ("scan_p20261123_0700", 3),
        ("scan_p20261123_0800", 3),
    ]


async def test_after_a_time_without_a_keeper_the_hours_between_are_made(
    owner: AsyncConnection[TupleRow],
) -> None:
    await partitions.ensure(owner, SCAN, NOW, HOUR)
    made = await partitions.ensure(owner, SCAN, NOW + 8 * HOUR, HOUR)
    assert made[0] == "scan_p20261123_1000"
    assert len(made) == 8


async def test_a_changed_width_fits_beside_what_is_there(owner: AsyncConnection[TupleRow]) -> None:
    await partitions.ensure(owner, SCAN, NOW, HOUR)
    await partitions.ensure(owner, SCAN, NOW + 3 * HOUR, timedelta(minutes=25))
    spans = [(p.start, p.end) for p in await partitions.existing(owner, SCAN)]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))


async def test_a_writer_in_the_way_delays_a_partition_and_breaks_nothing(
    owner: AsyncConnection[TupleRow], plain_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_LOCK_WAIT", "200ms")
    with psycopg.connect(plain_database.owner) as writer:
        writer.execute("insert into scan values (1, %s, %s, '{1}', null, 1)", (NOW, NOW))
        with pytest.raises(Unavailable):
            await partitions.ensure(owner, SCAN, NOW, HOUR)
        writer.commit()
    assert len(await partitions.ensure(owner, SCAN, NOW, HOUR)) == 4
    assert rows(plain_database.owner, "select tableoid::regclass::text from scan") == [
        ("scan_p20261123_0700",)
    ]


async def test_over_budget_the_oldest_range_goes_whole_with_its_record(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    for hours in range(6):
        for table in RAW:
            await partitions.ensure(owner, table, NOW + hours * HOUR, HOUR)
        await scans_at(owner, NOW + hours * HOUR, 500, 300)
    before = await budget.measure(owner, 2**40)
    limit = int((before.bytes - 2 * MEGABYTE) / budget.FILL)
    after = await budget.enforce(owner, limit, NOW + 5 * HOUR)
    assert not after.over
    hours = rows(plain_database.owner, "select distinct time from scan order by 1")
    dropped = rows(
        plain_database.owner,
        "select from_time, to_time, bytes, reason from retention where relation = 'scan'",
    )
    assert len(dropped) < 6
    for start, end, size, reason in dropped:
        assert not [time for (time,) in hours if start <= time < end]
        assert size > 0
        assert reason == "disk-budget"
    kept = [time for (time,) in hours]
    assert kept == [NOW + n * HOUR for n in range(6 - len(kept), 6)]
    relations = rows(plain_database.owner, "select distinct relation from retention order by 1")
    assert relations == [("batch",), ("reading_text",), ("scan",)]


async def test_what_is_being_written_is_never_dropped(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    for table in (*RAW, MINUTES):
        await partitions.ensure(owner, table, NOW, HOUR if table is not MINUTES else 24 * HOUR)
    await scans_at(owner, NOW, 500, 300)
    use = await budget.enforce(owner, 1000, NOW)
    assert use.over
    assert rows(plain_database.owner, "select count(*) from scan") == [(500,)]


async def test_odd_times_are_bounded_by_their_share(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    await partitions.ensure(owner, SCAN, NOW, HOUR)
    await scans_at(owner, datetime(1999, 1, 1, tzinfo=UTC), 500, 300)
    await scans_at(owner, NOW)
    await budget.enforce(owner, 20 * MEGABYTE, NOW)
    assert rows(plain_database.owner, "select count(*) from scan") == [(1,)]
    assert rows(plain_database.owner, "select relation, reason, from_time from retention") == [
        ("scan_other", "odd-times", datetime(1999, 1, 1, tzinfo=UTC))
    ]
    await scans_at(owner, datetime(1999, 1, 1, tzinfo=UTC))
    assert rows(plain_database.owner, "select count(*) from scan_other") == [(1,)]


async def test_quarantine_keeps_the_newest_within_its_share(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    await owner.execute(
        "insert into quarantine (partition, stream_sequence, reason, body)"
        " select 0, n, 'undecodable', convert_to(repeat('x', 100000), 'UTF8') from generate_series(1, 20) n"
    )
    await budget.enforce(owner, 20 * 1_000_000, NOW)
    assert rows(plain_database.owner, "select min(stream_sequence), count(*) from quarantine") == [(11, 10)]
    assert rows(plain_database.owner, "select bytes from retention where relation = 'quarantine'") == [
        (1_000_000,)
    ]


async def test_when_raw_data_are_gone_the_oldest_days_of_minutes_follow(
    owner: AsyncConnection[TupleRow], plain_database: Database
) -> None:
    for days in range(3):
        await partitions.ensure(owner, MINUTES, NOW + days * 24 * HOUR, 24 * HOUR)
    await budget.enforce(owner, 1000, NOW + 48 * HOUR)
    dropped = rows(
        plain_database.owner, "select to_time from retention where relation = 'rollup_minute' order by 1"
    )
    assert dropped
    assert dropped[-1][0] <= NOW + 48 * HOUR
    assert [p for p in await partitions.existing(owner, MINUTES) if p.start <= NOW + 48 * HOUR < p.end]
