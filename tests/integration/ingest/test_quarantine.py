"""What was put aside can be looked at, and stored once its reason is gone: once, and as late data."""

import psycopg
import pytest
from nats.aio.client import Client

from ingest import quarantine
from muster.clock import to_datetime
from muster.errors import Rejected, RequestError
from muster.events import Event
from tests.conftest import Bus, Database
from tests.integration.ingest.pretend import SECOND, Gateway, Installation, now_us, rows, scans_of
from tests.integration.ingest.working import stored, worker


async def test_a_replayed_batch_is_stored_once_and_corrects_the_history(
    database: Database, nats: Bus, bus: Client
) -> None:
    installation = Installation.make(database.owner, gateways=1, devices=4)
    gateway = Gateway(installation, installation.gateways[0])
    (device,) = gateway.in_partition(0)
    async with worker(database, nats, bus):
        at = now_us() - 5 * SECOND
        await gateway.send(bus, 0, scans_of([device], at=at), since=at - SECOND, until=at)
        up = Event("session_up", device, at)
        late = await gateway.send(
            bus, 0, scans_of([device], values=11, at=at + SECOND), events=[up], until=at + SECOND
        )
        last = await gateway.send(bus, 0, scans_of([device], at=at + 2 * SECOND), until=at + 2 * SECOND)
        await stored(database, last)
        assert rows(database.owner, "select count(*) from scan") == [(2,)]
        (entry,) = await quarantine.entries(database.ingest)
        assert (entry.reason, entry.stream_sequence, entry.replayed_at) == ("position-unknown", late, None)
        with pytest.raises(Rejected, match="position-unknown"):
            await quarantine.replay(database.ingest, entry.id)
        with psycopg.connect(database.owner, autocommit=True) as connection:
            connection.execute(
                "insert into tag (device, position, enterprise, name, type, address)"
                " values (%s, 11, 1, 't11', 'float32', '{}')",
                (device,),
            )
        number = await quarantine.replay(database.ingest, entry.id)
        with pytest.raises(RequestError, match="stored as batch"):
            await quarantine.replay(database.ingest, entry.id)
        again = await gateway.send(bus, 0, scans_of([device]))
        await stored(database, again)
    assert rows(database.owner, "select count(*) from scan where batch = %s", number) == [(1,)]
    assert rows(database.owner, "select stream_sequence from batch where id = %s", number) == [(0,)]
    query = "select valid_from, valid_to from watch where span = (select max(span) from watch) and not live"
    assert (to_datetime(at), to_datetime(at + SECOND)) in rows(database.owner, query)
    assert rows(database.owner, "select count(*) from session") == [(0,)]
    assert rows(database.owner, "select count(*) from gap where reason = 'stream-lost'") == [(0,)]
    (entry,) = await quarantine.entries(database.ingest)
    assert entry.replayed_batch == number


async def test_a_forged_batch_can_never_be_replayed(database: Database, nats: Bus, bus: Client) -> None:
    installation = Installation.make(database.owner, gateways=1, devices=4)
    gateway = Gateway(installation, installation.gateways[0])
    body, _ = gateway.seal(0, scans_of(gateway.in_partition(0)))
    async with worker(database, nats, bus):
        await stored(database, await gateway.publish(bus, 0, (body, "Zm9yZ2Vk")))
    (entry,) = await quarantine.entries(database.ingest)
    with pytest.raises(Rejected, match="signature-wrong"):
        await quarantine.replay(database.ingest, entry.id)
    with pytest.raises(RequestError, match="there is none"):
        await quarantine.replay(database.ingest, entry.id + 1)
    assert rows(database.owner, "select count(*) from scan") == [(0,)]
