"""What a gateway sent is in the database, bit for bit, once, with its watch, presence, gaps and sessions."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nats.aio.client import Client

from bus import subjects
from muster.clock import to_datetime
from muster.events import Event, TextReading
from muster.scans import NULL, How
from store import partitions
from store.connection import connected
from store.engine import detect
from store.partitions import RAW
from tests.conftest import Bus, Database
from tests.integration.ingest.pretend import SECOND, Gateway, Installation, now_us, rows, scans_of
from tests.integration.ingest.working import stored, worker
from tests.scan_builder import ScanBuilder


@pytest.fixture
def installation(database: Database) -> Installation:
    return Installation.make(database.owner, gateways=2, devices=8, enterprises=2)


@pytest.fixture
async def working(database: Database, nats: Bus, bus: Client) -> AsyncIterator[None]:
    """One worker, stopped in good order at the end."""
    async with worker(database, nats, bus):
        yield


async def test_values_are_stored_bit_for_bit(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    device = gateway.in_partition(1)[0]
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-320, NULL, 0.1])
    odd[4:5].view(np.uint64)[0] = 0x7FF8DEADBEEF0001
    quality = np.array([0, 100, 0, 0, 0, 0, 201, 0], np.int16)
    at = now_us()
    builder = ScanBuilder()
    builder.add(device, at, at + 1, 3, odd, quality, How.SOLICITED)
    builder.add(device, at + 2, at + 3, 7, np.array([5.0]), None, How.UNSOLICITED)
    await stored(database, await gateway.send(bus, 1, builder.build()), 1)
    with psycopg.connect(database.owner) as connection:
        first, second = connection.execute(
            "select array_lower(value, 1), array(select float8send(v) from unnest(value) v), quality, time,"
            " received from scan order by time"
        ).fetchall()
    assert first[0] == 3
    assert [None if v is None else struct.unpack(">Q", v)[0] for v in first[1]] == [
        None if index == 6 else int(bits) for index, bits in enumerate(odd.view(np.uint64))
    ]
    assert first[2] == quality.tolist()
    assert (first[3], first[4]) == (to_datetime(at), to_datetime(at + 1))
    assert (second[0], second[2]) == (7, None)


async def test_a_batch_sent_twice_is_stored_once(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    sealed = gateway.seal(0, scans_of(gateway.in_partition(0)))
    for _ in range(3):
        last = await gateway.publish(bus, 0, sealed)
    last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
    await stored(database, last)
    assert rows(database.owner, "select count(*) from scan") == [(2 * len(gateway.in_partition(0)),)]
    assert rows(database.owner, "select count(*) from batch") == [(2,)]


async def test_batches_that_never_came_are_a_gap_with_their_numbers(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    await gateway.send(bus, 0)
    edge = gateway.until[0]
    gateway.seal(0)
    gateway.seal(0)
    await stored(database, await gateway.send(bus, 0))
    query = "select gateway, partition, device, reason, detail, from_time from gap"
    assert rows(database.owner, query) == [
        (gateway.number, 0, None, "stream-lost", {"epoch": 1, "first": 2, "last": 3}, to_datetime(edge))
    ]
    assert len(rows(database.owner, "select distinct span from watch")) == 2


async def test_a_forged_or_foreign_batch_goes_to_quarantine_and_the_stream_goes_on(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    mine, other = (Gateway(installation, number) for number in installation.gateways)
    body, _ = mine.seal(0, scans_of(mine.in_partition(0)))
    mine.sequence[0] = 0
    await mine.publish(bus, 0, (body, "bm90IGEgc2lnbmF0dXJl"))
    await mine.publish(bus, 0, other.seal(0, scans_of(other.in_partition(0))))
    await bus.jetstream().publish("batch.0.999", b"x")
    await bus.jetstream().publish("batch.0.x';drop--", b"x")
    await mine.send(bus, 0, scans_of(other.in_partition(0)))
    await mine.send(bus, 0, scans_of(mine.in_partition(1)))
    await mine.send(bus, 0, scans_of(mine.in_partition(0), values=11))
    await mine.publish(bus, 0, mine.seal(0, None, gateway=other.number))
    mine.sequence[0] -= 1
    last = await mine.send(bus, 0, scans_of(mine.in_partition(0)))
    await stored(database, last)
    reasons = rows(database.owner, "select reason from quarantine order by id")
    assert [reason for (reason,) in reasons] == [
        "signature-wrong",
        "signature-wrong",
        "gateway-unknown",
        "not-its-subject",
        "device-unknown",
        "not-its-partition",
        "position-unknown",
        "not-its-subject",
    ]
    assert rows(database.owner, "select count(*) from scan") == [(len(mine.in_partition(0)),)]
    assert rows(database.owner, "select reason, count(*) from gap group by 1") == [("quarantined", 3)]


async def test_sql_in_reasons_and_nul_in_texts_are_only_text(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    device = gateway.in_partition(0)[0]
    at = now_us()
    evil = "'; drop table scan; --\0\\x"
    events = [
        Event("session_up", device, at - 400_000),
        Event("session_down", device, at - 300_000, reason=evil),
        Event("gap", device, at - 2 * SECOND, until=at - SECOND, reason=evil, detail={evil: [evil]}, polls=3),
        Event("identity", device, at, detail={"vendor": evil}, origin="simulated"),
    ]
    texts = [TextReading(device, 1, at, at, "a\0b"), TextReading(device, 2, at, at, "点名", 100)]
    await stored(database, await gateway.send(bus, 0, None, events=events, texts=texts))
    shown = evil.replace("\0", "\ufffd")
    assert rows(database.owner, "select reason, detail, polls from gap") == [(shown, {shown: [shown]}, 3)]
    assert rows(database.owner, "select evidence, origin from identity") == [({"vendor": shown}, "simulated")]
    assert rows(database.owner, "select reason from session") == [(shown,)]
    found = rows(database.owner, "select value, quality from reading_text order by position")
    assert found == [("a\ufffdb", 206), ("点名", 100)]


async def test_an_identity_is_stored_once_per_change(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    device = gateway.in_partition(0)[0]
    for vendor in ("A", "A", "B", "B", "A"):
        event = Event("identity", device, now_us(), detail={"vendor": vendor}, origin="unknown")
        last = await gateway.send(bus, 0, None, events=[event])
    await stored(database, last)
    found = rows(database.owner, "select evidence ->> 'vendor' from identity order by id")
    assert [vendor for (vendor,) in found] == ["A", "B", "A"]


async def test_sessions_open_and_close_and_end_with_their_gateway(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    one, other = gateway.in_partition(0)[:2]
    at = now_us()
    await gateway.send(
        bus, 0, None, events=[Event("session_up", one, at - 10), Event("session_up", other, at - 9)], until=at
    )
    down = Event("session_down", one, at + 5, reason="timeout")
    await gateway.send(bus, 0, None, events=[down], until=at + 10)
    gateway.restart()
    up = Event("session_up", one, at + 100)
    await stored(database, await gateway.send(bus, 0, None, events=[up], since=at + 50, until=at + 110))
    query = "select device, opened_at, closed_at, reason, epoch from session order by id"
    assert rows(database.owner, query) == [
        (one, to_datetime(at - 10), to_datetime(at + 5), "timeout", 1),
        (other, to_datetime(at - 9), to_datetime(at + 10), "gateway-down", 1),
        (one, to_datetime(at + 100), None, "", 2),
    ]


async def test_a_device_connects_when_its_value_came_and_expires_by_its_window(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    device, silent = gateway.in_partition(0)[:2]
    at = now_us() - 60 * SECOND
    await gateway.send(bus, 0, scans_of([device], at=at), since=at - SECOND, until=at + SECOND)
    await stored(database, await gateway.send(bus, 0, None, until=at + 30 * SECOND))
    query = "select device, valid_from, state, reason from presence order by valid_from, device"
    assert rows(database.owner, query) == [
        (device, to_datetime(at), 4, "value"),
        (silent, to_datetime(at + 9 * SECOND), 1, "never-answered"),
        (device, to_datetime(at + 10 * SECOND), 1, "value-expired"),
    ]


async def test_live_batches_grow_one_watch_and_late_ones_are_rows_of_their_own(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    at = now_us() - 60 * SECOND
    await gateway.send(bus, 0, None, since=at - SECOND, until=at)
    last = await gateway.send(bus, 0, None, until=at + SECOND)
    await stored(database, last)
    for _ in range(4):
        last = await gateway.send(bus, 0, None)
        await stored(database, last)
    found = rows(database.owner, "select span, live, valid_from, valid_to, ended from watch order by id")
    assert {span for span, *_ in found} == {found[0][0]}
    assert [live for _, live, *_ in found][-1] is True
    assert sum(live for _, live, *_ in found) == 1
    assert found[-1][3] == to_datetime(gateway.until[0])
    assert [row[2] for row in found][1:] == [row[3] for row in found][:-1]
    await stored(database, await gateway.send(bus, 0, None, stopping=True))
    assert rows(database.owner, "select ended from watch order by id desc limit 1") == [(True,)]


async def test_a_huge_scan_and_a_single_value_share_a_batch(
    database: Database, nats: Bus, bus: Client
) -> None:
    installation = Installation.make(database.owner, gateways=1, devices=1, tags=5000)
    gateway = Gateway(installation, installation.gateways[0])
    device = gateway.devices[0]
    partition = subjects.partition_of(device)
    builder = ScanBuilder()
    at = now_us()
    builder.add(device, at, at, 1, np.random.default_rng(1).normal(size=5000), None, How.SOLICITED)
    builder.add(device, at + 1, at, 5000, np.array([7.5]), None, How.SOLICITED)
    scans = builder.build()
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, partition, scans), partition)
    query = "select array_lower(value, 1), array_upper(value, 1), value from scan order by time"
    (first, last, values), (lower, upper, single) = rows(database.owner, query)
    assert (first, last, lower, upper, single) == (1, 5000, 5000, 5000, [7.5])
    assert values == scans.value[:5000].tolist()


async def test_a_new_device_is_known_as_soon_as_a_batch_names_it(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    with psycopg.connect(database.owner, autocommit=True) as connection:
        for number in range(4):
            new = installation.add_device(connection, 1, gateway.number, f"late-{number}", 10)
            gateway.devices.append(new)
    for partition in range(4):
        last = await gateway.send(bus, partition, scans_of(gateway.in_partition(partition)))
        await stored(database, last, partition)
    assert rows(database.owner, "select count(*) from quarantine") == [(0,)]
    assert rows(database.owner, "select count(distinct device) from scan") == [(len(gateway.devices),)]


async def test_a_batch_of_the_gateway_that_a_device_once_had_is_still_its(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    one, other = (Gateway(installation, number) for number in installation.gateways)
    device = one.in_partition(0)[0]
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("update gateway set enterprise = null")
        connection.execute("update device set gateway = %s where id = %s", (other.number, device))
    await stored(database, await one.send(bus, 0, scans_of([device])))
    assert rows(database.owner, "select count(*) from quarantine") == [(0,)]


async def test_what_the_database_refuses_is_found_and_put_aside(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("alter table gap add constraint no_seven check (polls <> 7)")
    for polls in (1, 7, 2, 7, 3):
        gap = Event("gap", 0, now_us() - 10, until=now_us(), reason="timeout", polls=polls)
        last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)), events=[gap])
    await stored(database, last)
    assert rows(database.owner, "select reason, count(*) from quarantine group by 1") == [
        ("refused-by-database", 2)
    ]
    found = rows(database.owner, "select polls from gap where reason = 'timeout' order by id")
    assert [polls for (polls,) in found] == [1, 2, 3]
    assert rows(database.owner, "select count(*) from scan") == [(3 * len(gateway.in_partition(0)),)]


async def test_partitions_made_while_batches_come_put_nothing_aside(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    begun = now_us()
    sent = 0
    async with connected(database.owner, "test") as owner:
        if (await detect(owner)).hypertable:
            pytest.skip("TimescaleDB makes chunks by itself")
        for number in range(60):
            at = begun + number * 60 * SECOND
            last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0), at=at))
            sent += len(gateway.in_partition(0))
            if number % 4 == 0:
                for table in RAW:
                    moment = to_datetime(at if table.column == "time" else now_us())
                    await partitions.ensure(owner, table, moment, timedelta(minutes=1))
    await stored(database, last)
    assert rows(database.owner, "select reason, detail from quarantine") == []
    assert rows(database.owner, "select count(*) from scan") == [(sent,)]
    assert rows(
        database.owner, "select count(*) > 3 from pg_inherits where inhparent = 'scan'::regclass"
    ) == [(True,)]


async def test_a_revoked_key_is_refused_and_a_new_one_is_known(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("update gateway_key set revoked_at = now() where gateway = %s", (gateway.number,))
    for _ in range(100):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        if rows(database.owner, "select reason from quarantine limit 1"):
            break
        await asyncio.sleep(0.1)
    assert rows(database.owner, "select distinct reason from quarantine") == [("signature-wrong",)]
    installation.keys[gateway.number] = Ed25519PrivateKey.generate()
    public = installation.keys[gateway.number].public_key().public_bytes_raw()
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("insert into gateway_key values (%s, %s)", (gateway.number, public))
    before = rows(database.owner, "select count(*) from batch")
    for _ in range(100):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        if rows(database.owner, "select count(*) from batch") > before:
            break
        await asyncio.sleep(0.1)
    assert rows(database.owner, "select count(*) from batch") > before


async def test_a_key_under_which_one_signature_fits_every_batch_is_refused_though_the_database_holds_it(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    neutral = b"\x01" + bytes(31)
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("insert into gateway_key values (%s, %s)", (gateway.number, neutral))
    body, _ = gateway.seal(0, scans_of(gateway.in_partition(0)))
    forged = base64.b64encode(neutral + bytes(32)).decode()
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), body)
    await gateway.publish(bus, 0, (body, forged))
    last = await gateway.send(bus, 0, scans_of(gateway.in_partition(0)))
    await stored(database, last)
    assert rows(database.owner, "select reason from quarantine") == [("signature-wrong",)]
    assert rows(database.owner, "select count(*) from batch") == [(1,)]


async def test_a_measured_clock_is_stored_and_one_without_its_offset_refused(
    installation: Installation, database: Database, bus: Client, working: None
) -> None:
    gateway = Gateway(installation, installation.gateways[0])
    device = gateway.in_partition(0)[0]
    for offset in (-3_600_000_000, "an hour", 2**70):
        detail = {"offset_us": offset, "accuracy_us": 1500}
        last = await gateway.send(bus, 0, None, events=[Event("clock", device, now_us(), detail=detail)])
    await stored(database, last)
    found = rows(database.owner, "select device, clock_offset, accuracy from device_clock")
    assert found == [(device, timedelta(hours=-1), timedelta(microseconds=1500))]
    assert rows(database.owner, "select reason, count(*) from quarantine group by 1") == [("undecodable", 2)]
