"""Workers at work for the length of a block, and waiting for what they store."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from nats.aio.client import Client

import ingest.worker
from ingest import partition
from ingest.settings import Settings
from ingest.worker import Worker
from muster.clock import SystemClock
from tests.conftest import Bus, Database
from tests.integration.ingest.pretend import rows


def worker(database: Database, nats: Bus, bus: Client, name: str = "w") -> "Running":
    settings = Settings(worker=name, database=database.ingest, bus=nats.settings(), stream_limit_bytes=2**28)
    return Running(Worker(settings, bus, SystemClock()))


def purge_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers say what they need of the stream, and purge it, several times a second."""
    monkeypatch.setattr(partition, "NEED_EVERY_S", 0.1)
    monkeypatch.setattr(ingest.worker, "PURGE_EVERY_S", 0.1)
    monkeypatch.setattr(ingest.worker, "LOOK_EVERY_S", 0.1)


class Running:
    """A worker at work for the length of a block."""

    def __init__(self, made: Worker) -> None:
        self.worker, self.stop = made, asyncio.Event()

    async def __aenter__(self) -> Worker:
        self.task = asyncio.create_task(self.worker.run(self.stop))
        await until(lambda: self.worker.health() is None or self.task.done())
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.task

    async def die(self) -> None:
        """End without an orderly stop, as far as a task can."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def until(is_so: Callable[[], bool], wait_s: float = 20.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(wait_s):
        while not is_so():
            await asyncio.sleep(0.05)


async def stored(database: Database, sequence: int, partition: int = 0) -> None:
    """Wait until a partition is stored up to a stream sequence."""
    query = "select coalesce(max(sequence), 0) from stream_position where partition = %s"
    await until(lambda: rows(database.owner, query, partition)[0][0] >= sequence)
