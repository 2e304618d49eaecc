"""The follower: keeps the supervisor's devices equal to the documents in the bus's key-value store.

Removal needs a word: a deletion marker, or absence from two complete looks half a minute apart in a store
that holds other documents of this gateway. So a store that was lost and is being rebuilt from the database
stops no device. A look is complete and is repeated now and then, because a watch can die with its server
unnoticed.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig
from nats.js.kv import KV_DEL, KV_PURGE, KeyValue

from bus import subjects
from gateway.documents import Copy, number_in
from muster.errors import Rejected

_log = structlog.get_logger()

QUIET_S = 0.1
LONGEST_WAIT_S = 0.5
LOOK_AGAIN_S = 60.0
CONFIRM_S = 30.0
_LISTEN_S = 1.0
_LOOK_S = 5.0
_PAUSE_S = 1.0

Apply = Callable[[dict[int, bytes]], Awaitable[None]]


class Follower:
    """The documents of one gateway as they were last known."""

    def __init__(self, gateway: int, copy: Copy, apply: Apply) -> None:
        self.problem: str | None = "not yet looked at"
        self._gateway = gateway
        self._copy = copy
        self._apply = apply
        self._documents: dict[int, bytes] = {}
        self._absent_since: dict[int, float] = {}

    async def start(self) -> None:
        """Apply the copy on disk, so that work begins without the bus."""
        try:
            self._documents = self._copy.load()
        except Rejected as error:
            _log.error("documents-copy-unreadable", error=str(error))
        if self._documents:
            await self._apply(dict(self._documents))

    async def run(self, client: Client) -> None:
        """Follow the store until cancelled."""
        jetstream = _Named(client)
        while True:
            try:
                bucket = await jetstream.key_value(subjects.CONFIG_BUCKET)
                await self._follow(client, bucket)
            except (NatsError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                if reason != self.problem:
                    _log.warning("documents-wait", reason=reason)
                self.problem = reason
                await asyncio.sleep(_PAUSE_S * random.uniform(0.5, 1.5))

    async def _follow(self, client: Client, bucket: KeyValue) -> None:
        """Look at all documents, then take changes until it is time to look again or the server was away."""
        reconnects = client.stats["reconnects"]
        watcher = await bucket.watch(subjects.device_keys(self._gateway), inactive_threshold=30)
        try:
            await self._look(watcher)
            self.problem = None
            until = time.monotonic() + (
                CONFIRM_S if self._absent_since else LOOK_AGAIN_S * random.uniform(0.8, 1.2)
            )
            while (
                time.monotonic() < until and client.stats["reconnects"] == reconnects and client.is_connected
            ):
                await self._take_changes(watcher)
        finally:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await watcher.stop()  # type: ignore[no-untyped-call]

    async def _look(self, watcher: KeyValue.KeyWatcher) -> None:
        """Take the complete state of the store."""
        documents = dict(self._documents)
        seen: set[int] = set()
        while (entry := await _next(watcher, _LOOK_S)) is not None:
            number = self._note(documents, entry)
            if number is not None:
                seen.add(number)
        absent = documents.keys() - seen if seen else set()
        now = time.monotonic()
        self._absent_since = {number: self._absent_since.get(number, now) for number in absent}
        for number, since in self._absent_since.items():
            if now - since >= CONFIRM_S:
                del documents[number]
        await self._adopt(documents)

    async def _take_changes(self, watcher: KeyValue.KeyWatcher) -> None:
        """Wait for a change, gather what follows until it is quiet, and apply all of it."""
        documents = dict(self._documents)
        limit_s, first = _LISTEN_S, 0.0
        while True:
            try:
                entry = await _next(watcher, limit_s)
            except NatsTimeoutError:
                break
            if entry is None:
                continue
            self._note(documents, entry)
            limit_s, first = QUIET_S, first or time.monotonic()
            if time.monotonic() - first > LONGEST_WAIT_S:
                break
        await self._adopt(documents)

    def _note(self, documents: dict[int, bytes], entry: KeyValue.Entry) -> int | None:
        number = number_in(entry.key, self._gateway)
        if number is None:
            _log.error("document-key-unknown", key=entry.key)
        elif entry.operation in (KV_DEL, KV_PURGE):
            documents.pop(number, None)
        else:
            documents[number] = entry.value or b""
        return number

    async def _adopt(self, documents: dict[int, bytes]) -> None:
        if documents == self._documents:
            return
        self._documents = documents
        await self._apply(dict(documents))
        try:
            await asyncio.to_thread(self._copy.save, documents)
        except OSError as error:
            _log.error("documents-copy-refused", error=str(error))


class _Named(JetStreamContext):
    """Gives each consumer a name: then what it hears stands in the subject that asks for it, which the server checks.

    The client library names none of those that watch a bucket, and no server could tell whose documents they ask for.
    """

    async def subscribe(self, subject: str, *arguments: Any, **options: Any) -> Any:
        """Subscribe as the library does."""
        options["config"] = ConsumerConfig(name=secrets.token_hex(16))
        return await super().subscribe(subject, *arguments, **options)


async def _next(watcher: KeyValue.KeyWatcher, limit_s: float) -> KeyValue.Entry | None:
    """Return the next entry, or None behind the last of those that were there. Raises NatsTimeoutError."""
    entry: KeyValue.Entry | None = await watcher.updates(limit_s)  # type: ignore[no-untyped-call]
    return entry
