"""Partitions change hands: fairly among the living, fenced against the dead, exactly where they stood."""

import asyncio
import contextlib
import random

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from ingest import observer, partition, place
from ingest import worker as workers
from ingest.place import PARTITION_LOCK
from ingest.registry import QUERIES
from ingest.worker import share
from muster.clock import to_us
from muster.events import Event
from muster.presence import Definition, Transition
from muster.scans import How, Scans
from muster.watch import Watch
from tests.conftest import Bus, Database
from tests.integration.ingest.pretend import SECOND, Gateway, Installation, now_us, rows, scans_of
from tests.integration.ingest.working import purge_often, stored, until, worker
from tests.scan_builder import ScanBuilder

OWNED = "select partition, worker from stream_position where worker <> '' order by 1"
KILL = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where application_name like 'muster ingest%%' and datname = current_database()"
)


@pytest.fixture
def gateway(database: Database) -> Gateway:
    installation = Installation.make(database.owner, gateways=1, devices=8)
    return Gateway(installation, installation.gateways[0])


@given(st.sets(st.integers(1, 2**31 - 1), min_size=1, max_size=7), st.integers(1, 16))
def test_the_living_share_every_partition_once_and_fairly(workers: set[int], partitions: int) -> None:
    shares = [share(list(workers), mine, partitions) for mine in workers]
    assert sorted(number for taken in shares for number in taken) == list(range(partitions))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


async def test_two_workers_share_and_the_one_that_stays_takes_all(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    sent = 0
    async with worker(database, nats, bus, "stays"):
        async with worker(database, nats, bus, "leaves"):
            await until(lambda: {name for _, name in rows(database.owner, OWNED)} == {"stays", "leaves"})
            for number in range(40):
                await gateway.send(bus, number % 4, scans_of(gateway.in_partition(number % 4)))
                sent += len(gateway.in_partition(number % 4))
        await until(lambda: {name for _, name in rows(database.owner, OWNED)} == {"stays"})
        last = {number: await gateway.send(bus, number) for number in range(4)}
        for number, sequence in last.items():
            await stored(database, sequence, number)
    assert rows(database.owner, "select count(*), count(distinct (device, time)) from scan") == [(sent, sent)]
    assert rows(database.owner, "select count(*) from gap") == [(0,)]
    assert rows(
        database.owner, "select partition, count(distinct span) from watch group by 1 order by 1"
    ) == [(number, 1) for number in range(4)]


async def test_a_worker_that_was_fenced_out_stores_nothing_and_lets_go(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        with psycopg.connect(database.owner, autocommit=True) as owner:
            owner.execute("update stream_position set fence = fence + 1 where partition = 0")
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    assert rows(database.owner, "select count(*), count(distinct (device, time)) from scan") == [(4, 4)]
    assert rows(database.owner, "select fence from stream_position where partition = 0") == [(3,)]


async def test_two_that_both_believe_they_hold_everything_store_it_once(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks always succeed, both want all partitions, sessions are killed: only the fence is left."""
    monkeypatch.setattr(place, "QUERIES", {**QUERIES, "try_lock": "select %(space)s is not null"})
    monkeypatch.setattr(workers, "share", lambda living, mine, partitions: set(range(partitions)))
    monkeypatch.setattr(partition, "RETRY_S", 0.1)
    sent = 0
    async with worker(database, nats, bus, "one"), worker(database, nats, bus, "two"):
        for round_ in range(60):
            for number in range(4):
                await gateway.send(bus, number, scans_of(gateway.in_partition(number)))
                sent += len(gateway.in_partition(number))
            if round_ % 20 == 10:
                rows(database.owner, KILL)
            await asyncio.sleep(0.03)
        for number in range(4):
            await stored(database, await gateway.send(bus, number), number)
    assert rows(database.owner, "select count(*), count(distinct (device, time)) from scan") == [(sent, sent)]
    assert rows(database.owner, "select count(*) from quarantine") == [(0,)]
    assert rows(database.owner, "select count(*) from gap") == [(0,)]
    assert min(rows(database.owner, "select fence from stream_position")) > (4,)


async def test_a_partition_waits_for_its_lock(
    gateway: Gateway, database: Database, nats: Bus, bus: Client
) -> None:
    with psycopg.connect(database.owner, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s, 0)", (PARTITION_LOCK,))
        running = worker(database, nats, bus)
        running.task = asyncio.create_task(running.worker.run(running.stop))
        try:
            await until(lambda: running.worker.health() == "partitions 0 are not read yet")
            assert len(rows(database.owner, OWNED)) == 3
            holder.execute("select pg_advisory_unlock_all()")
            await until(lambda: running.worker.health() is None)
        finally:
            running.stop.set()
            await running.task


def random_batch(
    chance: random.Random, devices: list[int], since: int, until_us: int
) -> tuple[Scans, list[Event]]:
    builder = ScanBuilder()
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(since + 1, until_us)
        quality = np.array([200], np.int16) if chance.random() < 0.3 else None
        how = chance.choice((How.SOLICITED, How.SOLICITED, How.HISTORY))
        builder.add(chance.choice(devices), at, at, 1, np.array([1.0]), quality, how)
    kinds = ("session_up", "session_down", "answer", "error", "removed")
    events = [
        Event(
            chance.choice(kinds),
            chance.choice(devices),
            chance.randint(since + 1, until_us),
            reason="timeout",
        )
        for _ in range(chance.randint(0, 2))
    ]
    return builder.build(), sorted(events, key=lambda event: event.at)


@pytest.mark.parametrize("seed", range(4))
async def test_presence_goes_on_exactly_through_deaths_and_take_overs(
    gateway: Gateway,
    database: Database,
    nats: Bus,
    bus: Client,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compared with one watch that saw every batch and was never interrupted."""
    chance = random.Random(seed)
    monkeypatch.setattr(observer, "REMEMBER_EVERY_US", chance.choice((0, SECOND, 10**12)))
    purge_often(monkeypatch)
    devices = gateway.in_partition(0)
    start = at = now_us() - 3600 * SECOND
    reference = Watch(start)
    reference.keep(np.array(devices, np.int32), np.full(len(devices), Definition().window_us(1.0)))
    due: list[Transition] = []
    for life in range(4):
        running = worker(database, nats, bus, f"life-{life}")
        async with running:
            for _ in range(chance.randint(3, 15)):
                since, at = at, at + chance.randint(1, 6 * SECOND)
                scans, events = random_batch(chance, devices, since, at)
                last = await gateway.send(bus, 0, scans, events=events, since=since, until=at)
                due += reference.advance(scans, events, at)
                if chance.random() < 0.3:
                    await stored(database, last)
            if life % 2:
                rows(database.owner, KILL)
            else:
                await stored(database, last)
    async with worker(database, nats, bus, "last"):
        await stored(database, await gateway.send(bus, 0, since=at, until=at + 60 * SECOND))
    due += reference.advance(Scans.empty(), [], at + 60 * SECOND)
    query = "select device, valid_from, state, reason from presence order by valid_from, device"
    found = [
        (device, to_us(time), state, reason) for device, time, state, reason in rows(database.owner, query)
    ]
    assert found == sorted(
        ((t.device, t.at, int(t.state), t.reason) for t in due), key=lambda row: (row[1], row[0])
    )
    assert rows(database.owner, "select count(distinct span) from watch where partition = 0") == [(1,)]


async def test_a_holder_stuck_in_the_midst_of_sending_rows_is_ended(
    gateway: Gateway, database: Database, nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "STUCK_S", 1.0)
    with psycopg.connect(database.ingest) as stuck, stuck.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s, 0)", (PARTITION_LOCK,))
        with contextlib.suppress(psycopg.OperationalError), cursor.copy("copy scan from stdin") as copy:
            copy.write("1\t2026")
            async with worker(database, nats, bus):
                await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    assert rows(database.owner, "select count(*) from scan") == [(len(gateway.in_partition(0)),)]
