"""Keeps the bus's configuration bucket equal to the device book: one document per device in use.

A change arrives by NOTIFY and is in the bucket well within a second. Whatever may have been missed while the
database or the bus was away is found by comparing everything, at each new session and whenever the bucket is
not as this program left it (deleted, emptied, written to by others). Only documents that differ are written.
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from bus.connection import connect_patiently, ensure_bucket
from bus.settings import BusSettings
from bus.subjects import CONFIG_BUCKET, device_key
from muster.device import Device, ReportMode, Tag
from muster.errors import Unavailable
from services.ledger.queries import QUERIES
from store.connection import connected, translated

CHECK_S = 5.0
"""How often the bucket is looked at, in seconds."""
COMPARE_S = 600.0
"""How often everything is compared even when nothing seems to have happened, in seconds."""
CHUNK = 500
IN_FLIGHT = 64

DOCUMENTS = Gauge("muster_book_documents", "Device documents in the configuration bucket")
WRITES = Counter(
    "muster_book_writes_total", "Device documents written to or deleted from the bucket", ["kind"]
)

_log = structlog.get_logger()
_KEY = re.compile(r"gateway\.[0-9]+\.device\.([0-9]+)")
_SUBJECTS = f"$KV.{CONFIG_BUCKET}."
_decode_tags = msgspec.json.Decoder(list[Tag]).decode
_encode = msgspec.json.Encoder().encode

Connection = AsyncConnection[Any]


async def publish(
    database_dsn: str, bus: BusSettings, stop: asyncio.Event, *, check_s: float = CHECK_S
) -> None:
    """Keep the bucket equal to the book until `stop` is set, through restarts of database and bus.

    database_dsn: as a role that sees every enterprise when it says so (`muster_api`, or the owner).

    Raises:
        ConfigError: the database or the bus refuses these credentials.
    """
    while not stop.is_set():
        client = await connect_patiently(bus, "book publisher", stop)
        if client is None:
            return
        try:
            await _session(database_dsn, client, stop, check_s)
        except Unavailable as error:
            _log.warning("book-publisher-away", error=str(error))
        finally:
            await client.close()
        if not stop.is_set():
            await _either(stop, 0.2 + random.random() * 0.6)


async def _session(database_dsn: str, client: Client, stop: asyncio.Event, check_s: float) -> None:
    """Follow the book until `stop` is set or one side goes away."""
    everything = {"muster.enterprise": "all"}
    wake, changed = asyncio.Event(), set[int]()
    async with (
        connected(database_dsn, "book listener", **everything) as listener,
        connected(database_dsn, "book publisher", **everything) as reader,
    ):
        await listener.execute("listen device")
        mirror = Mirror(client, reader)
        try:
            async with asyncio.TaskGroup() as group:
                helpers = (
                    group.create_task(_listen(listener, changed, wake), name="book notices"),
                    group.create_task(_relay(stop, wake), name="book stop"),
                )
                with translated():
                    await _follow(mirror, changed, wake, stop, check_s)
                for helper in helpers:
                    helper.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors


async def _listen(listener: Connection, changed: set[int], wake: asyncio.Event) -> None:
    with translated():
        async for notice in listener.notifies():
            if notice.payload.isdigit():
                changed.add(int(notice.payload))
                wake.set()


async def _relay(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()


async def _follow(
    mirror: "Mirror", changed: set[int], wake: asyncio.Event, stop: asyncio.Event, check_s: float
) -> None:
    loop = asyncio.get_running_loop()
    compared = loop.time() - COMPARE_S
    while not stop.is_set():
        if loop.time() - compared >= COMPARE_S or not await mirror.undisturbed():
            compared = loop.time()
            changed.clear()
            await mirror.compare()
        while changed and not stop.is_set():
            devices = [changed.pop() for _ in range(min(CHUNK, len(changed)))]
            await mirror.bring(devices)
        wake.clear()
        if not changed:
            await _either(wake, check_s)


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for the event, at most so long."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


class Mirror:
    """What the bucket holds, as this program knows it, and how it is brought to what the book says."""

    def __init__(self, client: Client, reader: Connection) -> None:
        self._client, self._jetstream, self._reader = client, client.jetstream(), reader
        self._bucket: KeyValue | None = None
        self._held: dict[str, bytes] = {}
        self._keys: dict[int, str] = {}
        self._left: tuple[Any, int] | None = None

    async def undisturbed(self) -> bool:
        """Tell whether the bucket is as this program left it."""
        return self._left is not None and await self._state() == self._left

    async def compare(self) -> None:
        """Read the bucket and the book whole, and write what differs."""
        await self._read_bucket()
        cursor = await self._reader.execute(QUERIES["documents_expected"])
        expected = {row[0]: None for row in await cursor.fetchall()}
        await self._delete([key for device, key in self._keys.items() if device not in expected])
        devices = list(expected)
        for start in range(0, len(devices), CHUNK):
            await self._bring(devices[start : start + CHUNK])
        stray = set(self._held) - set(self._keys.values())
        await self._delete(sorted(stray))
        self._left = await self._state()
        _log.info("book-compared", documents=len(self._held))

    async def bring(self, devices: Sequence[int]) -> None:
        """Bring these devices' documents to what the book says now."""
        await self._bring(devices)
        self._left = await self._state()

    async def _bring(self, devices: Sequence[int]) -> None:
        cursor = await self._reader.execute(QUERIES["documents"], {"devices": list(devices)})
        documents = {row[1]: (device_key(row[0], row[1]), _document(row)) for row in await cursor.fetchall()}
        gone = [
            self._keys[device]
            for device in devices
            if device in self._keys and documents.get(device, ("",))[0] != self._keys[device]
        ]
        await self._delete(gone)  # first, so that never two gateways watch one device
        await self._put(documents.values())
        self._keys.update({device: key for device, (key, _) in documents.items()})

    async def _put(self, documents: Iterable[tuple[str, bytes]]) -> None:
        due = [
            (key, body)
            for key, body in documents
            if self._held.get(key) != _digest(body) and self._fits(key, body)
        ]
        bucket = await self._opened()
        for start in range(0, len(due), IN_FLIGHT):
            part = due[start : start + IN_FLIGHT]
            await _all(*(bucket.put(key, body) for key, body in part))
            self._held.update({key: _digest(body) for key, body in part})
        WRITES.labels("put").inc(len(due))
        DOCUMENTS.set(len(self._held))

    def _fits(self, key: str, body: bytes) -> bool:
        if len(body) <= self._client.max_payload:
            return True
        _log.error("book-document-too-large", key=key, bytes=len(body), limit=self._client.max_payload)
        return False

    async def _delete(self, keys: Sequence[str]) -> None:
        bucket = await self._opened()
        for start in range(0, len(keys), IN_FLIGHT):
            part = keys[start : start + IN_FLIGHT]
            await _all(*(bucket.delete(key) for key in part))
            for key in part:
                self._held.pop(key, None)
                match = _KEY.fullmatch(key)
                if match and self._keys.get(int(match[1])) == key:
                    del self._keys[int(match[1])]
        WRITES.labels("delete").inc(len(keys))
        DOCUMENTS.set(len(self._held))

    async def _read_bucket(self) -> None:
        self._held, self._keys, self._bucket = {}, {}, None
        await self._opened()
        with _translated():
            reading = await self._jetstream.pull_subscribe(
                f"{_SUBJECTS}gateway.>",
                stream=f"KV_{CONFIG_BUCKET}",
                config=ConsumerConfig(
                    deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
                    ack_policy=AckPolicy.NONE,
                    inactive_threshold=60,
                ),
            )
            try:
                left = (await reading.consumer_info()).num_pending or 0
                while left:
                    for message in await reading.fetch(min(left, CHUNK), timeout=10):
                        left = message.metadata.num_pending
                        self._found(message)
            finally:
                await reading.unsubscribe()

    def _found(self, message: Msg) -> None:
        key = message.subject.removeprefix(_SUBJECTS)
        match = _KEY.fullmatch(key)
        if match and not (message.headers or {}).get("KV-Operation"):
            self._held[key] = _digest(message.data)
            self._keys[int(match[1])] = key

    async def _opened(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await ensure_bucket(self._jetstream)
        return self._bucket

    async def _state(self) -> tuple[Any, int] | None:
        with _translated():
            try:
                info = await self._jetstream.stream_info(f"KV_{CONFIG_BUCKET}")
            except NotFoundError:
                return None
        return (info.created, info.state.last_seq)


def _document(row: Sequence[Any]) -> bytes:
    (
        _,
        number,
        version,
        code,
        name,
        enterprise,
        protocol,
        connection,
        mode,
        interval_s,
        tags,
        term,
        free_since,
    ) = row
    return _encode(
        Device(
            number=number,
            version=version,
            code=code,
            name=name,
            enterprise=enterprise,
            protocol=protocol,
            connection=msgspec.json.decode(connection),
            report_mode=ReportMode(mode),
            interval_s=interval_s,
            tags=_decode_tags(tags),
            term=term,
            free_since=free_since,
        )
    )


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


async def _all(*calls: Coroutine[Any, Any, Any]) -> None:
    """Do these calls at the same time; raise the first error once all have ended."""
    with _translated():
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (NatsError, TimeoutError, OSError) as error:
        raise Unavailable(f"bucket {CONFIG_BUCKET}: {error or type(error).__name__}") from error
