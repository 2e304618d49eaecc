"""Ingest, database and bus are killed at random moments under load: what was sent is stored, once, bit for bit.

Servers of its own, real processes, SIGKILL. A trigger keeps every transaction open a little longer, so that
kills fall into the middle of one.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from psycopg.rows import TupleRow

from bus import connection
from bus.settings import BusSettings
from deploy import nats as embedded_nats
from deploy import postgres as embedded_postgres
from deploy.child import Command, options
from muster.clock import to_us
from muster.events import Event, TextReading
from muster.presence import Definition, Transition
from muster.scans import NULL, NULL_BITS, How, Scans
from muster.watch import Watch
from store.migrations import migrate
from store.roles import set_passwords
from tests.conftest import a_free_port
from tests.integration.evidence.examined import examined
from tests.integration.ingest.pretend import Gateway, Installation, now_us
from tests.scan_builder import ScanBuilder

Reading = tuple[int, int, int, int, tuple[int | None, ...], tuple[int, ...] | None]


class Part:
    """One process that is killed and started again."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.start()

    def start(self) -> None:
        with self.command.log.open("ab") as log:
            self.process = subprocess.Popen(self.command.argv, **options(self.command, log))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.command.stop_signal)
            try:
                self.process.wait(self.command.grace_s)
            except subprocess.TimeoutExpired:
                self.kill()


class Road:
    """A database, a bus and two ingest processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = embedded_postgres.Embedded(folder / "postgres", a_free_port(), secrets.token_hex(8))
        self.database = Part(embedded_postgres.prepare(self.server))
        self.dsn = self.server.dsn(database="postgres")
        password = secrets.token_hex(8)
        (folder / "secret").write_text(password, "utf-8")
        nats = embedded_nats.Embedded(folder / "nats", a_free_port(), 2**30)
        self.nats = Part(embedded_nats.prepare(nats, {"launcher": password}))
        self.bus = BusSettings(url=nats.url, user="launcher", password_file=folder / "secret")
        self.workers: list[Part] = []

    async def set_up(self) -> Installation:
        await embedded_postgres.ready(self.server)
        await migrate(self.dsn)
        await set_passwords(self.dsn, {"muster_ingest": "ingest"})
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            owner.execute(
                "create function linger() returns trigger language plpgsql as"
                " $$ begin perform pg_sleep(0.02); return null; end $$"
            )
            owner.execute(
                "create trigger linger after insert on batch for each statement execute function linger()"
            )
        installation = Installation.make(self.dsn, gateways=2, devices=8, tags=12)
        for name in ("one", "two"):
            settings = {
                "worker": name,
                "database": self.server.dsn("muster_ingest", "ingest", "postgres"),
                "bus": json.loads(self.bus.model_dump_json()),
                "stream_limit_bytes": 2**28,
            }
            path = self.folder / f"{name}.json"
            path.write_text(json.dumps(settings), "utf-8")
            argv = [sys.executable, "-m", "deploy.process", "ingest", "--settings", str(path)]
            self.workers.append(Part(Command(name, argv, self.folder / f"{name}.log")))
        return installation

    def close(self) -> None:
        for part in (*self.workers, self.nats, self.database):
            part.stop()

    def rows(self, query: str) -> list[TupleRow]:
        with psycopg.connect(self.dsn, options="-c timezone=UTC") as owner:
            return owner.execute(query.encode()).fetchall()


@pytest.fixture
def road() -> Iterator[Road]:
    with tempfile.TemporaryDirectory(prefix="muster-kills-") as name:
        os.chmod(name, 0o711)
        made = Road(Path(name))
        try:
            yield made
        finally:
            made.close()


class Sender:
    """A gateway that keeps each batch until the stream has acknowledged it, and remembers what it sent."""

    def __init__(self, gateway: Gateway, partition: int, seed: int) -> None:
        self.gateway, self.partition = gateway, partition
        self.chance = random.Random(seed)
        self.sent: list[Reading] = []
        self.texts: list[tuple[int, int, int, str]] = []
        self.due: list[Transition] = []
        self.devices = gateway.in_partition(partition)
        self.watch: Watch | None = None
        self.last_at = 0

    def batch(self) -> tuple[bytes, str]:
        since = self.gateway.until.get(self.partition, now_us() - 1000)
        until = max(now_us(), since + 1000)
        builder, texts, events = ScanBuilder(), list[TextReading](), list[Event]()
        for _ in range(self.chance.randint(0, 6)):
            device = self.chance.choice(self.devices)
            at = self.chance.randint(since + 1, until)
            first = self.chance.randint(1, 12)
            size = self.chance.randint(1, 13 - first)
            value = np.array([self.chance.gauss(0, 1) for _ in range(size)])
            value[np.array([self.chance.random() < 0.1 for _ in range(size)])] = NULL
            bad = self.chance.random() < 0.2
            quality = np.array([self.chance.choice((0, 200)) for _ in range(size)], np.int16) if bad else None
            builder.add(device, at, at + 1, first, value, quality, How.SOLICITED)
            bits = tuple(None if bit == NULL_BITS else bit for bit in value.view(np.uint64).tolist())
            judged = tuple(quality.tolist()) if quality is not None and quality.any() else None
            self.sent.append((device, at, at + 1, first, bits, judged))
        if self.chance.random() < 0.2:
            texts.append(
                TextReading(self.chance.choice(self.devices), 1, until, until, f"点{len(self.texts)}")
            )
            self.texts.append((texts[0].device, 1, until, texts[0].value))
        if self.chance.random() < 0.1:
            kind = self.chance.choice(("session_up", "session_down", "error"))
            events.append(Event(kind, self.chance.choice(self.devices), until - 1, reason="timeout"))
        scans = builder.build()
        self._follow(scans, events, since, until)
        return self.gateway.seal(self.partition, scans, events, texts, since=since, until=until)

    def _follow(self, scans: Scans, events: list[Event], since: int, until: int) -> None:
        """Keep the presence that is due, by one watch that is never interrupted."""
        if self.watch is None:
            self.watch = Watch(since)
            count = len(self.devices)
            self.watch.keep(np.array(self.devices, np.int32), np.full(count, Definition().window_us(1.0)))
        self.due += self.watch.advance(scans, events, until)

    async def run(self, client: Client, stop: asyncio.Event) -> None:
        while not stop.is_set():
            sealed = self.batch()
            while True:
                try:
                    self.last_at = await self.gateway.publish(client, self.partition, sealed)
                    break
                except (NatsError, TimeoutError, OSError):
                    await asyncio.sleep(0.2)
            await asyncio.sleep(self.chance.uniform(0, 0.1))


def read_back(road: Road) -> list[Reading]:
    query = (
        "select device, time, received, array_lower(value, 1), array(select float8send(v) from unnest(value) v),"
        " quality from scan"
    )
    return [
        (
            device,
            to_us(time),
            to_us(received),
            first,
            tuple(None if v is None else int.from_bytes(v, "big") for v in values),
            None if quality is None else tuple(quality),
        )
        for device, time, received, first, values, quality in road.rows(query)
    ]


async def under_load(road: Road, rounds: int, victims: tuple[str, ...], seed: int) -> None:
    installation = await road.set_up()
    client = await connection.connect(road.bus, "test")
    chance = random.Random(seed)
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(NatsError, TimeoutError):
                if await client.jetstream().stream_info("BATCHES"):
                    break
            await asyncio.sleep(0.1)
    gateways = [Gateway(installation, number) for number in installation.gateways]
    senders = [Sender(g, p, seed * 100 + 10 * i + p) for i, g in enumerate(gateways) for p in range(4)]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.run(client, stop))
        parts = {
            "one": road.workers[0],
            "two": road.workers[1],
            "nats": road.nats,
            "database": road.database,
        }
        for _ in range(rounds):
            await asyncio.sleep(chance.uniform(0.5, 2.5))
            for name in chance.sample(victims, chance.choice((1, 1, 2)) if len(victims) > 1 else 1):
                parts[name].kill()
                await asyncio.sleep(chance.uniform(0, 0.3))
                if name == "database":  # the server waits until its orphans are gone
                    await asyncio.sleep(1.0)
                parts[name].start()
                while name == "database" and await _is_down(road):
                    if parts[name].process.poll() is not None:
                        parts[name].start()
        stop.set()
    await client.close()
    place = {p: max(s.last_at for s in senders if s.partition == p) for p in range(4)}
    async with asyncio.timeout(60):
        while dict(road.rows("select partition, sequence from stream_position")) != place:
            await asyncio.sleep(0.2)
    sent = [reading for sender in senders for reading in sender.sent]
    assert sorted(read_back(road), key=repr) == sorted(sent, key=repr)
    texts = road.rows("select device, position, time, value from reading_text")
    stored_texts = sorted((d, p, to_us(t), v) for d, p, t, v in texts)
    assert stored_texts == sorted(text for sender in senders for text in sender.texts)
    presence = road.rows("select device, valid_from, state, reason from presence")
    due = [(t.device, t.at, int(t.state), t.reason) for sender in senders for t in sender.due]
    assert sorted((d, to_us(t), s, r) for d, t, s, r in presence) == sorted(due)
    assert road.rows("select reason, detail from gap") == []
    assert road.rows("select reason, detail from quarantine") == []
    names = "select count(*), count(distinct (gateway, partition, epoch, sequence)) from batch"
    ((batches, distinct),) = road.rows(names)
    assert batches == distinct > 0
    for part in road.workers:
        part.stop()
    report = await examined(road.dsn)
    assert (report.differences, report.expired) == ([], 0)
    assert report.same > 0


async def _is_down(road: Road) -> bool:
    try:
        async with asyncio.timeout(5):
            await embedded_postgres.ready(road.server)
    except TimeoutError:
        return True
    return False


async def test_ingest_killed_in_the_middle_of_transactions_stores_everything_once(road: Road) -> None:
    await under_load(road, 6, ("one", "two"), 1)


@pytest.mark.timeout(240)
async def test_any_part_killed_alone_or_in_pairs_loses_and_doubles_nothing(road: Road) -> None:
    await under_load(road, 5, ("one", "two", "nats", "database"), 2)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
async def test_twenty_rounds_of_kills_lose_and_double_nothing(road: Road, seed: int) -> None:
    await under_load(road, 20, ("one", "two", "nats", "database"), 10 + seed)


@pytest.mark.long
async def test_a_worker_that_was_stopped_loses_its_partitions_and_stores_nothing_twice(road: Road) -> None:
    installation = await road.set_up()
    client = await connection.connect(road.bus, "test")
    owners = "select distinct worker from stream_position where worker <> '' order by 1"
    async with asyncio.timeout(60):
        while road.rows(owners) != [("one",), ("two",)]:
            await asyncio.sleep(0.2)
    gateway = Gateway(installation, installation.gateways[0])
    senders = [Sender(gateway, partition, partition) for partition in range(4)]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.run(client, stop))
        await asyncio.sleep(2)
        road.workers[0].process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(60):
            while road.rows(owners) != [("two",)]:
                await asyncio.sleep(0.5)
        road.workers[0].process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            while road.rows(owners) != [("one",), ("two",)]:
                await asyncio.sleep(0.5)
        stop.set()
    await client.close()
    place = {sender.partition: sender.last_at for sender in senders}
    async with asyncio.timeout(60):
        while dict(road.rows("select partition, sequence from stream_position")) != place:
            await asyncio.sleep(0.2)
    sent = [reading for sender in senders for reading in sender.sent]
    assert sorted(read_back(road), key=repr) == sorted(sent, key=repr)
    assert road.rows("select reason from gap") == []
