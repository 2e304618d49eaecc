"""A lease on a real server, with a gateway's own rights: renewed by compare-and-set, ended when it runs out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.aio.client import Client
from nats.js.errors import KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from bus import connection, subjects
from gateway import lease as module
from gateway.lease import Lease
from muster.clock import SystemClock
from muster.lease import LeaseNote
from tests.conftest import Bus

GATEWAY = 3
KEY = subjects.lease_key(GATEWAY)


async def become(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


@pytest.fixture
async def bucket(bus: Client) -> KeyValue:
    return await connection.ensure_bucket(bus.jetstream(), bucket=subjects.LEASE_BUCKET)


@asynccontextmanager
async def holding(nats: Bus, monkeypatch: pytest.MonkeyPatch, renew_s: float = 0.1) -> AsyncIterator[Lease]:
    monkeypatch.setattr(module, "RENEW_S", renew_s)
    client = await connection.connect(nats.settings(f"gateway-{GATEWAY}"), "lease test")
    lease = Lease(GATEWAY, SystemClock().now_us, lambda: [5])
    task = asyncio.create_task(lease.run(client))
    try:
        await become(lambda: lease.valid)
        yield lease
    finally:
        task.cancel()
        await asyncio.wait([task])
        await lease.end(client)
        await client.close()


async def note(bucket: KeyValue) -> tuple[LeaseNote, int]:
    entry = await bucket.get(KEY)
    assert entry.revision is not None
    return msgspec.json.decode(entry.value or b"", type=LeaseNote), entry.revision


async def test_a_lease_is_renewed_says_what_was_let_go_and_is_ended_at_a_stop(
    nats: Bus, bucket: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with holding(nats, monkeypatch) as lease:
        said, revision = await note(bucket)
        assert (said.term, said.released, said.ended) == (lease.term, [5], False)
        async with asyncio.timeout(20):
            while (await note(bucket))[1] <= revision + 3:
                await asyncio.sleep(0.05)
    said, _ = await note(bucket)
    assert said.ended


async def test_of_a_renewal_and_an_end_only_one_succeeds_and_the_next_term_is_higher(
    nats: Bus, bucket: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with holding(nats, monkeypatch, renew_s=1.0) as lease:
        before, revision = await note(bucket)
        with pytest.raises(KeyWrongLastSequenceError):
            await bucket.update(KEY, b"late", last=revision - 1)
        ended = LeaseNote(before.owner, before.term, ended=True)
        await bucket.update(KEY, msgspec.json.encode(ended), last=revision)
        await become(lambda: lease.valid and lease.term != before.term)
        assert lease.term is not None
        assert lease.term > before.term


async def test_a_lease_runs_out_by_itself_and_goes_on_in_its_term_when_nobody_ended_it(
    nats: Bus, bucket: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    async with holding(nats, monkeypatch, renew_s=1.0) as lease:
        term = lease.term
        lease.changed.clear()
        await become(lambda: not lease.valid)
        assert lease.left_s is None
        await become(lambda: lease.valid)
        assert lease.term == term
        assert lease.changed.is_set()


async def test_a_renewal_whose_answer_was_lost_is_recognised(
    nats: Bus, bucket: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with holding(nats, monkeypatch, renew_s=1.0) as lease:
        said, revision = await note(bucket)
        await bucket.update(KEY, msgspec.json.encode(said), last=revision)
        async with asyncio.timeout(20):
            while (await note(bucket))[1] <= revision + 2:
                await asyncio.sleep(0.05)
        assert lease.valid
        assert lease.term == said.term
