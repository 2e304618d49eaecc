"""Whoever changes, takes away or puts in rows after they were recorded is found; honest handling never is."""

from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from nats.aio.client import Client

from evidence import fsck
from ingest import quarantine
from muster.clock import to_datetime
from muster.events import TextReading
from muster.scans import NULL, How, Scans
from tests.conftest import Bus, Database
from tests.integration.evidence.examined import examined
from tests.integration.ingest.pretend import SECOND, Gateway, Installation, now_us, rows, scans_of
from tests.integration.ingest.working import stored, worker
from tests.scan_builder import ScanBuilder

MINUTE = timedelta(minutes=1)


async def recorded(database: Database, nats: Bus, bus: Client) -> tuple[Installation, Gateway]:
    """A handful of batches of every kind, stored by two workers after one another, which then left."""
    installation = Installation.make(database.owner, gateways=1, devices=8)
    gateway = Gateway(installation, installation.gateways[0])
    for name in ("first", "second"):
        async with worker(database, nats, bus, name):
            for partition in range(4):
                devices = gateway.in_partition(partition)
                await gateway.send(bus, partition, scans_of(devices, at=now_us()))
                await gateway.send(bus, partition, odd(devices), texts=texts(devices))
                late = scans_of(devices, at=now_us() - 3600 * SECOND)
                last = await gateway.send(bus, partition, late)
                await stored(database, last, partition)
    return installation, gateway


def odd(devices: list[int]) -> Scans:
    """Scans that come in no order, with missing values, odd numbers and bad qualities, some at the same time."""
    builder, at = ScanBuilder(), now_us()
    for device in devices:
        for back, first in ((0, 3), (5, 1), (0, 1), (0, 1)):
            value = np.array([NULL, -0.0, np.inf, np.nan, 1e308][first - 1 :])
            quality = np.array([1, 0, 0, 2, 0], np.int16)[first - 1 :] if back == 0 else None
            builder.add(device, at - back, at, first, value, quality, How.UNSOLICITED)
    return builder.build()


def texts(devices: list[int]) -> list[TextReading]:
    at = now_us()
    return [
        TextReading(device, 10, at - n, at, value)
        for device in devices
        for n, value in enumerate(("停机", ""))
    ]


def floor(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


async def test_what_two_workers_recorded_agrees_with_the_rows(
    database: Database, nats: Bus, bus: Client
) -> None:
    installation, _ = await recorded(database, nats, bus)
    report = await examined(database.owner)
    assert report.differences == []
    assert report.same == report.device_minutes >= 2 * 8
    assert report.rows == rows(database.owner, "select count(*) from any_scan")[0][0] + 4 * 8
    facts = rows(database.owner, "select sum(scans), sum(texts), sum(readings) from device_minute")
    counted = rows(
        database.owner,
        "select count(*), 4 * 8, (select count(*) from reading) + 4 * 8 from any_scan",
    )
    assert facts == counted
    device = installation.devices[installation.gateways[0]][0]
    digest = "select octet_length(digest), count(*) > 0 from device_minute where device = %s group by 1"
    assert rows(database.owner, digest, device) == [(32, True)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("update scan set value[2] = 17 where {one}", "fsck.rows-differ"),
        ("update scan set received = received + interval '1 microsecond' where {one}", "fsck.rows-differ"),
        ("update scan set quality = null where device = {device}", "fsck.rows-differ"),
        ("update scan set quality = '{{0}}' where {one}", "fsck.rows-differ"),
        ("update scan set value = '{{{{1,2}},{{3,4}}}}' where {one}", "fsck.rows-differ"),
        ("update reading_text set value = '运行' where device = {device}", "fsck.rows-differ"),
        ("update reading_text set quality = 1 where device = {device}", "fsck.rows-differ"),
        ("delete from scan where {one}", "fsck.rows-missing"),
        ("delete from scan where device = {device}; delete from reading_text where device = {device}",
         "fsck.rows-missing"),
        ("insert into scan select * from scan where {one}", "fsck.rows-added"),
        ("insert into scan select device, now() - interval '30 minutes', received, value, quality, batch from scan"
         " where {one}", "fsck.rows-added"),
        ("insert into scan select device, time - interval '61 minutes', received, value, quality, batch from scan"
         " where {one}", "fsck.rows-foreign"),
        ("insert into scan select device, time, received, value, quality, 999999999 from scan where {one}",
         "fsck.rows-foreign"),
        ("insert into batch select 999999999, gateway, partition, epoch, 77, 0, recorded_at, scans, readings, sha256,"
         " signature from batch order by id limit 1", "fsck.no-digest"),
    ],
)  # fmt: skip
async def test_a_row_that_was_tampered_with_is_found(
    database: Database, nats: Bus, bus: Client, change: str, reason: str
) -> None:
    installation, _ = await recorded(database, nats, bus)
    device = installation.devices[installation.gateways[0]][3]
    newest = f"select tableoid, ctid from scan where device = {device} order by time desc limit 1"
    one = f"(tableoid, ctid) = ({newest})"
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(change.format(one=one, device=device).encode())
    report = await examined(database.owner)
    assert {difference.reason for difference in report.differences} == {reason}
    assert {difference.device for difference in report.differences} <= {device, 0}


async def test_a_batch_stored_from_quarantine_is_accounted_for(
    database: Database, nats: Bus, bus: Client
) -> None:
    installation = Installation.make(database.owner, gateways=1, devices=4)
    gateway = Gateway(installation, installation.gateways[0])
    (device,) = gateway.in_partition(0)
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of([device], values=11)))
    (entry,) = await quarantine.entries(database.ingest)
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(
            "insert into tag (device, position, enterprise, name, type, address)"
            " values (%s, 11, 1, 't11', 'float32', '{}')",
            (device,),
        )
    await quarantine.replay(database.ingest, entry.id)
    report = await examined(database.owner)
    assert (report.differences, report.same) == ([], 1)


async def test_what_retention_dropped_is_expired_and_not_missing(
    database: Database, nats: Bus, bus: Client
) -> None:
    await recorded(database, nats, bus)
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("delete from scan where time < now() - interval '30 minutes'")
        connection.execute(
            "insert into retention (relation, from_time, to_time, bytes, reason)"
            " values ('scan', now() - interval '2 hours', now() - interval '30 minutes', 1, 'disk-budget')"
        )
    report = await examined(database.owner)
    assert report.differences == []
    assert report.expired > 0


async def test_the_minute_that_is_not_over_is_left_alone(database: Database, nats: Bus, bus: Client) -> None:
    installation = Installation.make(database.owner, gateways=1, devices=4)
    gateway = Gateway(installation, installation.gateways[0])
    async with worker(database, nats, bus):
        await stored(database, await gateway.send(bus, 0, scans_of(gateway.in_partition(0))))
        now = to_datetime(now_us())
        report = await fsck.check(database.owner, floor(now) - 5 * MINUTE, floor(now) + 5 * MINUTE)
    assert report.differences == []
    assert report.until <= floor(to_datetime(now_us()))
