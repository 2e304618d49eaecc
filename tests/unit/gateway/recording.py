"""A gateway's recorder on a folder, driven beat by beat, and what it sealed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.envelope import Batch, decode
from bus.subjects import PARTITIONS
from gateway.collector import Collector
from gateway.outbox.folder import Folder
from gateway.outbox.store import Outbox
from gateway.recorder import Recorder
from gateway.recovery import Recovered, absence, recover
from muster.clock import ManualClock
from muster.events import Event
from muster.scans import How

KEY = Ed25519PrivateKey.generate()


BEAT_S = 0.05


class Bench:
    """A gateway's recorder on a folder, driven beat by beat."""

    def __init__(self, path: Path, clock: ManualClock, limit: int = 1 << 20) -> None:
        self.clock = clock
        self.folder = Folder(path)
        self.recovered: Recovered = recover(self.folder, limit, 3, KEY, clock.now_us())
        self.collector = Collector(self.recovered.next_number)
        self.outbox: Outbox = self.recovered.outbox
        self.recorder = Recorder(
            self.collector,
            self.recovered.sealer,
            self.outbox,
            self.recovered.journal,
            clock,
            0.5,
            lambda: None,
        )
        self.began = clock.now_us()
        self.recorder.begin(absence(self.recovered.before, self.recovered.tail, self.began))
        self.given: list[int] = []

    def poll(self, device: int = 1) -> None:
        """Answer one poll, unless rooms were told to stop."""
        if not self.collector.full:
            now = self.clock.now_us()
            self.collector.scan(device, now, now, 1, np.array([float(now)]), None, How.SOLICITED)
            self.given.append(now)

    async def beat(self, count: int = 1, poll: bool = True) -> None:
        for _ in range(count):
            self.clock.advance(BEAT_S / 2)
            if poll:
                self.poll()
            self.clock.advance(BEAT_S / 2)
            self.recorder.beat()
            while self.recorder._sealing is not None or self.recovered.journal.waiting:
                await asyncio.sleep(0)

    def kill(self) -> None:
        """Let go of everything as a killed process does: nothing more is sealed."""
        self.recorder.close()
        self.outbox.close()
        self.folder.close()

    async def settled(self) -> list[Batch]:
        """Take all batches once everything is sealed."""
        await self.beat(11, poll=False)
        return self.taken()

    def taken(self) -> list[Batch]:
        """Take all batches from the outbox."""
        found: list[Batch] = []
        for partition in range(PARTITIONS):
            while (sealed := self.outbox.read(partition)) is not None:
                found.append(decode(sealed.body))
                self.outbox.acknowledge(partition)
        return found


def received(batches: list[Batch]) -> list[int]:
    return [int(at) for batch in batches for at in batch.scans.received]


def gaps(batches: list[Batch], partition: int = 0) -> list[Event]:
    return [
        event
        for batch in batches
        for event in batch.header.events
        if event.kind == "gap" and batch.header.partition == partition
    ]


Make = Callable[..., Bench]
