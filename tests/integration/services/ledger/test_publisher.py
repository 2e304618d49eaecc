"""The configuration bucket follows the device book: only what changed, within a second, through restarts."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, NotFoundError
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from bus.connection import connect_patiently
from bus.settings import BusSettings
from deploy import nats as embedded_nats
from muster.device import Device
from muster.protocol import ProtocolInfo
from services import ledger
from services.ledger.edit import change_device, retire_device
from services.ledger.publisher import publish

Connection = AsyncConnection[TupleRow]
Protocols = Mapping[str, ProtocolInfo]
Documents = dict[str, Device]
BOOK = b"""
enterprises: [{code: acme, name: Acme}]
gateways: [{code: one}, {code: two}]
models:
  - code: pump
    name: Pump
    protocol: modbus
    device_class: operating
    tags:
      - {name: speed, type: uint16, address: {register: 0}}
      - {name: t, type: uint16, address: {register: 1}}
devices:
  - {enterprise: acme, gateway: one, model: pump, code: A, name: a, connection: {host: h, port: 1}}
  - {enterprise: acme, gateway: one, model: pump, code: B, name: b, connection: {host: h, port: 2}}
  - {enterprise: acme, model: pump, code: C, name: c, connection: {host: h, port: 3}}
"""
WITHIN_S = 10.0


class Bucket:
    """The bucket as a gateway sees it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def documents(self) -> Documents:
        """Return all documents by key."""
        jetstream = self.client.jetstream()
        found: Documents = {}
        try:
            bucket = await jetstream.key_value("config")
            info = await jetstream.stream_info("KV_config", subjects_filter=">")
        except NotFoundError:
            return {}
        for subject in info.state.subjects or {}:
            with contextlib.suppress(KeyNotFoundError):
                entry = await bucket.get(subject.removeprefix("$KV.config."))
                found[entry.key] = msgspec.json.decode(entry.value or b"", type=Device)
        return found

    async def writes(self) -> int:
        """Return how many writes the bucket has ever had."""
        return (await self.client.jetstream().stream_info("KV_config")).state.last_seq

    async def until(self, holds: Callable[[Documents], bool]) -> Documents:
        """Wait for the bucket to hold what is expected."""
        found: Documents = {}
        try:
            async with asyncio.timeout(WITHIN_S):
                while not holds(found := await self.documents()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"the bucket holds {found}")
        return found


@pytest.fixture
async def bucket(bus: Client) -> Bucket:
    return Bucket(bus)


@pytest.fixture
async def filled(api: Connection, protocols: Protocols) -> Connection:
    report = await ledger.apply(
        api, ledger.load(BOOK, "yaml"), protocols, dry_run=False, actor="t", scope=None
    )
    assert report.applied
    return api


@contextlib.asynccontextmanager
async def publishing(dsn: str, settings: BusSettings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(publish(dsn, settings, stop, check_s=0.1))
    yield
    stop.set()
    async with asyncio.timeout(5):
        await task


async def change(api: Connection, protocols: Protocols, code: str, **changes: Any) -> None:
    report = await change_device(
        api, protocols, enterprise="acme", code=code, changes=changes, actor="t", scope=None
    )
    assert report.applied


async def test_every_device_with_a_gateway_has_its_document(
    database: Any, nats: Any, bucket: Bucket, filled: Connection
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        found = await bucket.until(lambda held: len(held) == 2)
    assert {key: document.code for key, document in found.items()} == {
        "gateway.1.device.1": "A",
        "gateway.1.device.2": "B",
    }
    document = found["gateway.1.device.1"]
    assert [(tag.position, tag.name, tag.address) for tag in document.tags] == [
        (1, "speed", {"register": 0}),
        (2, "t", {"register": 1}),
    ]
    assert (document.connection, document.number, document.protocol) == (
        {"host": "h", "port": 1},
        1,
        "modbus",
    )


async def test_a_change_is_in_the_bucket_within_a_second_and_touches_no_other_document(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: len(held) == 2)
        before = await bucket.writes()
        clock = asyncio.get_running_loop().time
        began = clock()
        await change(filled, protocols, "A", interval_s=7)
        found = await bucket.until(lambda held: held["gateway.1.device.1"].interval_s == 7)
        assert clock() - began < 1.0
        assert await bucket.writes() == before + 1
    assert found["gateway.1.device.1"].version > found["gateway.1.device.2"].version


async def test_a_change_that_no_gateway_needs_to_know_of_is_not_written(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: len(held) == 2)
        before = await bucket.writes()
        await change(filled, protocols, "C", name="renamed")
        await change(filled, protocols, "B", name="last")
        await bucket.until(lambda held: held["gateway.1.device.2"].name == "last")
        assert await bucket.writes() == before + 1


async def test_moved_and_retired_devices_leave_the_gateway_that_had_them(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: len(held) == 2)
        await change(filled, protocols, "A", gateway="two")
        await bucket.until(lambda held: set(held) == {"gateway.2.device.1", "gateway.1.device.2"})
        await retire_device(filled, enterprise="acme", code="B", actor="t", scope=None)
        await bucket.until(lambda held: set(held) == {"gateway.2.device.1"})
        await change(filled, protocols, "A", gateway=None)
        await bucket.until(lambda held: not held)


async def test_a_tag_that_changes_reaches_every_device_that_has_it(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        before = await bucket.until(lambda held: len(held) == 2)
        tags = b"tags: [{model: pump, name: speed, type: uint16, address: {register: 5}}]"
        await ledger.apply(filled, ledger.load(tags, "yaml"), protocols, dry_run=False, actor="t", scope=None)
        after = await bucket.until(lambda held: all(len(document.tags) == 1 for document in held.values()))
    for key, document in after.items():
        assert [(tag.position, tag.address) for tag in document.tags] == [(3, {"register": 5})]
        assert document.version > before[key].version


async def test_what_changed_while_nobody_published_is_made_good(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: len(held) == 2)
    await change(filled, protocols, "A", gateway="two")
    await retire_device(filled, enterprise="acme", code="B", actor="t", scope=None)
    before = await bucket.writes()
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: set(held) == {"gateway.2.device.1"})
    assert await bucket.writes() == before + 3


async def test_a_bucket_that_is_lost_or_meddled_with_is_made_whole(
    database: Any, nats: Any, bucket: Bucket, filled: Connection
) -> None:
    jetstream = bucket.client.jetstream()
    async with publishing(database.api, nats.settings("keeper")):
        whole = await bucket.until(lambda held: len(held) == 2)
        await jetstream.delete_key_value("config")
        assert await bucket.until(lambda held: len(held) == 2) == whole
        keys = await jetstream.key_value("config")
        await keys.delete("gateway.1.device.1")
        await keys.put("gateway.9.device.9", msgspec.json.encode(whole["gateway.1.device.2"]))
        assert await bucket.until(lambda held: set(held) == set(whole)) == whole
        await keys.put("gateway.1.device.2", msgspec.json.encode(whole["gateway.1.device.1"]))
        assert await bucket.until(lambda held: held == whole) == whole


async def test_it_goes_on_when_the_database_ends_its_sessions(
    database: Any, nats: Any, bucket: Bucket, filled: Connection, owner: Connection, protocols: Protocols
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await bucket.until(lambda held: len(held) == 2)
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and application_name like 'muster book%'"
        )
        await change(filled, protocols, "A", name="after")
        await bucket.until(lambda held: held["gateway.1.device.1"].name == "after")


async def test_an_empty_book_leaves_an_empty_bucket(
    database: Any, nats: Any, bucket: Bucket, api: Connection
) -> None:
    async with publishing(database.api, nats.settings("keeper")):
        await asyncio.sleep(0)
    assert await bucket.documents() == {}
    with psycopg.connect(database.owner) as connection:
        assert connection.execute("select count(*) from device").fetchone() == (0,)


async def test_a_bus_that_comes_back_empty_is_filled_again(
    database: Any, filled: Connection, free_port: int, tmp_path: Path, protocols: Protocols
) -> None:
    settings = BusSettings(url=f"nats://127.0.0.1:{free_port}")

    async def filled_as(name: str) -> None:
        argv = [
            embedded_nats.program(),
            "-a",
            "127.0.0.1",
            "-p",
            str(free_port),
            "-js",
            "-sd",
            tmp_path / name,
        ]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client = await connect_patiently(settings, "test", asyncio.Event())
            assert client is not None
            await change(filled, protocols, "A", name=name)
            await Bucket(client).until(lambda held: [held[key].name for key in sorted(held)] == [name, "b"])
            await client.close()
        finally:
            server.kill()
            server.wait()

    async with publishing(database.api, settings):
        await filled_as("first")
        await filled_as("second")
