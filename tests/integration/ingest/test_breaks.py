"""Where database and stream do not meet there is a gap that says so, and storing goes on."""

import asyncio

import psycopg
import pytest
from nats.aio.client import Client

from bus import subjects
from ingest import roll, stream
from ingest import worker as workers
from ingest.stream import Break, Extent
from muster.clock import to_datetime
from tests.conftest import Bus, Database
from tests.integration.ingest.pretend import Gateway, Installation, rows, scans_of
from tests.integration.ingest.working import purge_often, stored, until, worker

BREAKS = "select reason, partition, gateway from gap order by id"
EXTENT = Extent("one", to_datetime(0), first=10, last=20, stored={0: 15})


@pytest.fixture
def gateway(database: Database) -> Gateway:
    installation = Installation.make(database.owner, gateways=1, devices=8)
    return Gateway(installation, installation.gateways[0])


@pytest.mark.parametrize(
    ("identity", "sequence", "is_held", "found"),
    [
        ("one", 15, True, None),
        ("one", 15, False, Break("stream-purged", 15)),
        ("one", 9, False, None),
        ("one", 20, False, None),
        ("one", 12, False, Break("database-restored", 12)),
        ("one", 12, True, None),
        ("one", 21, False, Break("stream-replaced", 0)),
        ("two", 15, False, Break("stream-replaced", 0)),
        ("", 0, False, Break("database-restored", 0)),
    ],
)
def test_a_place_in_the_stream_is_judged(
    identity: str, sequence: int, is_held: bool, found: Break | None
) -> None:
    assert stream.judge(identity, sequence, EXTENT, 0, is_held) == found


def test_a_new_partition_of_a_stream_that_was_never_stored_is_no_break() -> None:
    assert stream.judge("", 0, EXTENT, 1, is_held=False) is None
    assert stream.judge("one", 0, EXTENT, 1, is_held=False) is None


async def test_a_replaced_stream_is_a_gap_and_is_read_from_its_beginning(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    async with worker(database, nats, bus):
        for _ in range(3):
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    await bus.jetstream().delete_stream(subjects.STREAM)
    async with worker(database, nats, bus):
        last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await until(lambda: rows(database.owner, "select count(*) from batch") == [(4,)])
    assert last == 1
    assert sorted(rows(database.owner, BREAKS)) == [("stream-replaced", number, None) for number in range(4)]


async def test_a_stream_deleted_under_a_workers_is_made_again(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        await bus.jetstream().delete_stream(subjects.STREAM)
        await until(lambda: ("stream-replaced", 0, None) in rows(database.owner, BREAKS), 40)
        await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await until(lambda: rows(database.owner, "select count(*) from batch") == [(2,)])


async def test_an_emptied_stream_is_a_gap_said_once(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    for _ in range(3):
        await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
    await bus.jetstream().purge_stream(subjects.STREAM)
    await gateway.send(bus, 1, scans_of(gateway.in_partition(1)))
    for _ in range(2):
        async with worker(database, nats, bus):
            await until(lambda: rows(database.owner, "select count(*) from batch") == [(2,)])
    assert rows(database.owner, BREAKS) == [("stream-purged", 0, None)]
    async with worker(database, nats, bus):
        last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    assert rows(database.owner, BREAKS)[1:] == [("stream-lost", 0, gateway.number)]


async def test_a_database_put_back_to_an_earlier_state_is_a_gap(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge_often(monkeypatch)
    async with worker(database, nats, bus):
        early = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, early)
        for _ in range(5):
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    async with worker(database, nats, bus):  # the one before wrote its minute down when it left
        await purged(bus, 1)
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("update stream_position set sequence = %s where partition = 0", (early,))
        owner.execute("update gateway_position set sequence = 1 where partition = 0")
        owner.execute("delete from presence_memory")
        owner.execute("delete from scan where batch <> (select min(id) from batch)")
    async with worker(database, nats, bus):
        await stored(database, last)
    found = rows(database.owner, BREAKS)
    assert found[0] == ("database-restored", 0, None)
    assert found[1] == ("stream-lost", 0, gateway.number)


async def held(bus: Client) -> dict[str, int]:
    """Return how many messages the stream holds, by subject."""
    state = (await bus.jetstream().stream_info(subjects.STREAM, subjects_filter=">")).state
    return state.subjects or {}


async def purged(bus: Client, messages: int) -> None:
    """Wait until the stream holds no more than so many messages."""
    async with asyncio.timeout(20):
        while sum((await held(bus)).values()) > messages:
            await asyncio.sleep(0.05)


async def test_the_stream_keeps_what_is_not_digested_yet(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge_often(monkeypatch)
    monkeypatch.setattr(roll, "MINUTE_US", 3600 * 1_000_000)  # no minute ends within this test
    async with worker(database, nats, bus):
        for _ in range(3):
            await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        await until(lambda: len(rows(database.owner, "select 1 from presence_memory")) == 1)
        for _ in range(3):
            await asyncio.sleep(0.2)
            assert sum((await held(bus)).values()) == 3


async def test_a_partition_to_which_nothing_comes_holds_others_up_until_much_has_gathered(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEPT_SHARE", 1.0)
    purge_often(monkeypatch)
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 3, scans_of(gateway.in_partition(3))), 3)
        for _ in range(5):
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    async with worker(database, nats, bus):
        needed = "select partition, needed from stream_position where needed > 0 order by 1"
        await until(lambda: rows(database.owner, needed) == [(0, last), (3, last - 5)])
        await asyncio.sleep(0.5)
        assert sum((await held(bus)).values()) == 6
        monkeypatch.setattr(stream, "KEPT_SHARE", 0.0)
        await purged(bus, 2)
        assert await held(bus) == {subjects.batch(number, gateway.number): 1 for number in (0, 3)}
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 3, scans_of(gateway.in_partition(3))), 3)
    assert rows(database.owner, "select count(*) from gap") == [(0,)]


async def test_what_lies_under_no_partition_stops_neither_worker_nor_purge(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge_often(monkeypatch)
    async with worker(database, nats, bus):
        for subject in ("batch.x.1", "batch.99.1", "batch.-1.1"):
            await bus.jetstream().publish(subject, b"garbage")
        for _ in range(3):
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    async with worker(database, nats, bus):  # the one before wrote its minute down when it left
        await purged(bus, 1)
        assert await held(bus) == {subjects.batch(0, gateway.number): 1}


async def test_what_a_partition_has_not_stored_is_never_purged(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker's partition: it has messages, and the database knows nothing of what it needs."""
    monkeypatch.setattr(workers, "share", lambda workers, mine, partitions: {0})
    monkeypatch.setattr(stream, "KEPT_SHARE", 0.0)
    purge_often(monkeypatch)
    async with worker(database, nats, bus):
        await gateway.send(bus, 1, scans_of(gateway.in_partition(1)))
        for _ in range(3):
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
        await stored(database, last)
    await gateway.send(bus, 1, scans_of(gateway.in_partition(1)))
    async with worker(database, nats, bus):
        await purged(bus, 3)
        await asyncio.sleep(0.5)
        assert await held(bus) == {subjects.batch(0, gateway.number): 1, subjects.batch(1, gateway.number): 2}


async def test_a_purge_leaves_the_last_stored_message_and_all_that_is_still_needed(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge_often(monkeypatch)
    async with worker(database, nats, bus):
        for number in range(12):
            last = await gateway.send(bus, number % 3, scans_of(gateway.in_partition(number % 3)))
        for each in range(3):
            await stored(database, last - 2 + each, each)
    async with worker(database, nats, bus):  # the one before wrote its minute down when it left
        await purged(bus, 3)
        assert await held(bus) == {subjects.batch(number, gateway.number): 1 for number in range(3)}
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    assert rows(database.owner, "select count(*) from gap") == [(0,)]
    assert rows(database.owner, "select count(distinct span) from watch where partition = 0") == [(1,)]
