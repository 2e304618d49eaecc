"""The follower on a real key-value store: changes at once, removals only by word, a lost store removes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from bus import subjects
from gateway import follower
from gateway.documents import Copy
from gateway.follower import Follower
from gateway.outbox.folder import Folder
from tests.faults.gateway.road import lay, put

GATEWAY = 3


class Applied:
    """What the follower applied last, and how often it applied anything."""

    def __init__(self) -> None:
        self.documents: dict[int, bytes] = {}
        self.times = 0

    async def apply(self, documents: dict[int, bytes]) -> None:
        self.documents = documents
        self.times += 1

    async def become(self, wanted: dict[int, bytes], limit_s: float = 5) -> None:
        async with asyncio.timeout(limit_s):
            while self.documents != wanted:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def following(client: Client, folder: Folder) -> AsyncIterator[Applied]:
    applied = Applied()
    made = Follower(GATEWAY, Copy(folder, GATEWAY), applied.apply)
    await made.start()
    task = asyncio.create_task(made.run(client))
    try:
        yield applied
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_a_burst_of_changes_is_applied_at_once_and_kept_on_disk(bus: Client, folder: Folder) -> None:
    await lay(bus)
    wanted = {number: b"{%d}" % number for number in range(300)}
    async with following(bus, folder) as applied:
        await asyncio.sleep(0.3)
        await put(bus, GATEWAY, wanted)
        await applied.become(wanted, 10)
        assert applied.times <= 5
        await put(bus, GATEWAY + 1, {999: b"{}"})
        bucket = await bus.jetstream().key_value(subjects.CONFIG_BUCKET)
        await bucket.delete(subjects.device_key(GATEWAY, 7))
        await bucket.purge(subjects.device_key(GATEWAY, 8))
        del wanted[7], wanted[8]
        await applied.become(wanted)
        await asyncio.sleep(0.2)
    assert Copy(folder, GATEWAY).load() == wanted
    assert Copy(folder, GATEWAY + 1).load() == {}


async def test_a_deletion_while_nobody_followed_is_noticed_at_the_next_look(
    bus: Client, folder: Folder
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {1: b"1", 2: b"2"})
    async with following(bus, folder) as applied:
        await applied.become({1: b"1", 2: b"2"})
        await asyncio.sleep(0.2)
    bucket = await bus.jetstream().key_value(subjects.CONFIG_BUCKET)
    await bucket.delete(subjects.device_key(GATEWAY, 2))
    await put(bus, GATEWAY, {1: b"changed"})
    async with following(bus, folder) as applied:
        await applied.become({1: b"changed"})


async def test_a_store_that_was_lost_removes_nothing_and_one_being_rebuilt_neither(
    bus: Client, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOOK_AGAIN_S", 0.2)
    monkeypatch.setattr(follower, "_LISTEN_S", 0.1)
    monkeypatch.setattr(follower, "CONFIRM_S", 1.5)
    await lay(bus)
    documents = {1: b"1", 2: b"2", 3: b"3"}
    await put(bus, GATEWAY, documents)
    async with following(bus, folder) as applied:
        await applied.become(documents)
        await bus.jetstream().delete_key_value(subjects.CONFIG_BUCKET)
        await asyncio.sleep(1)
        await lay(bus)
        await asyncio.sleep(3)
        assert applied.documents == documents, "an empty store"
        await put(bus, GATEWAY, {1: b"1"})
        await asyncio.sleep(0.7)
        assert applied.documents == documents, "a store that is being rebuilt"
        await put(bus, GATEWAY, {3: b"3"})
        await applied.become({1: b"1", 3: b"3"}, 20)


async def test_a_damaged_copy_is_no_obstacle(bus: Client, folder: Folder) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {1: b"1"})
    (folder.path / "documents.json").write_bytes(b"\xff{")
    async with following(bus, folder) as applied:
        await applied.become({1: b"1"})
