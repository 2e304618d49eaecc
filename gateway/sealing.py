"""From slots to signed batches: grouping by watch and by partition, naming, encoding, signing.

Every batch of a partition continues the watch of the one before it, unless the watch was broken between them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.envelope import Header, encode, sign
from bus.subjects import PARTITIONS, partition_of
from gateway.outbox.records import Marks, Sealed
from gateway.slots import Notice, Slot, scans_of
from muster.clock import SECOND_US
from muster.events import Event, TextReading
from muster.scans import Scans

GROUP_SPAN_US = 3 * SECOND_US
"""Slots of one group lie within this; with a heartbeat's pause before it a batch still spans below 5 s."""

HEARTBEAT_US = 1 * SECOND_US
"""A partition with nothing to say is heard from this often."""

BATCH_BYTES = 512 << 10
"""Batches are cut to about this size; a NATS server takes 1 MiB unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Batches that are made durable together, and the last slot in them."""

    through: int
    batches: tuple[Sealed, ...]


@dataclass(frozen=True, slots=True)
class _Content:
    """What one batch holds."""

    scans: Scans
    events: list[Event]
    texts: list[TextReading]

    @property
    def empty(self) -> bool:
        return not (len(self.scans) or self.events or self.texts)

    @property
    def size(self) -> int:
        """About how many bytes it takes, from above; events hold evidence of unknown length."""
        columns = 29 * len(self.scans) + 10 * self.scans.readings
        notes = sum(
            150 + (2 * len(repr(event.detail)) if event.detail else 0) for event in self.events
        ) + sum(100 + 4 * len(text.value) for text in self.texts)
        return columns + notes

    def split(self) -> "list[_Content]":
        """Return it in pieces of about `BATCH_BYTES`, in order."""
        count = -(-self.size // BATCH_BYTES)
        if count <= 1:
            return [self]
        pieces: list[_Content] = []
        for index in range(count):
            rows = np.arange(len(self.scans) * index // count, len(self.scans) * (index + 1) // count)
            pieces.append(
                _Content(
                    self.scans.take(rows),
                    self.events[len(self.events) * index // count : len(self.events) * (index + 1) // count],
                    self.texts[len(self.texts) * index // count : len(self.texts) * (index + 1) // count],
                )
            )
        return pieces


def groups(slots: Sequence[Slot]) -> Iterator[list[Slot]]:
    """Give `slots` in groups of one unbroken watch, short enough for one batch in time and size."""
    group: list[Slot] = []
    size = 0
    for slot in slots:
        broken = group and slot.since != group[-1].watermark
        long = group and slot.watermark - group[0].since > GROUP_SPAN_US
        if broken or long or (group and size + slot.size > BATCH_BYTES * PARTITIONS):
            yield group
            group, size = [], 0
        group.append(slot)
        size += slot.size
    if group:
        yield group


class Sealer:
    """Names, encodes and signs the batches of one gateway in one epoch."""

    def __init__(self, gateway: int, epoch: int, key: Ed25519PrivateKey, marks: Marks) -> None:
        """marks: how far sealing had come before this epoch."""
        self.epoch = epoch
        self._gateway = gateway
        self._key = key
        self._until = [mark.watched_until for mark in marks.partitions]
        self._sequence = [0] * PARTITIONS
        self._watermark: int | None = None

    def seal(self, slots: Sequence[Slot], now_us: int, *, stopping: bool = False) -> list[Seal]:
        """Return the seals of `slots`, which follow those sealed before. `stopping`: they are the last."""
        seals: list[Seal] = []
        grouped = list(groups(slots))
        for index, group in enumerate(grouped):
            last = index == len(grouped) - 1
            closes = (stopping and last) or (not last and grouped[index + 1][0].since != group[-1].watermark)
            seals.append(self._seal_group(group, now_us, closes, stopping and last))
        return seals

    def _seal_group(self, group: list[Slot], now_us: int, closes: bool, stopping: bool) -> Seal:
        # The journal's tail continues the last epoch's watch where that epoch's newest batch ended it.
        before = max(self._until) if self._watermark is None else self._watermark
        if group[0].since != before:
            self._until = [group[0].since] * PARTITIONS
        self._watermark = group[-1].watermark
        batches: list[Sealed] = []
        for partition, content in enumerate(_by_partition(group)):
            due = closes or self._watermark - self._until[partition] >= HEARTBEAT_US
            if content.empty and not due:
                continue
            pieces = content.split()
            for piece in pieces[:-1]:
                batches.append(self._batch(partition, piece, self._until[partition], now_us, False))
            batches.append(self._batch(partition, pieces[-1], self._watermark, now_us, stopping))
        return Seal(group[-1].number, tuple(batches))

    def _batch(self, partition: int, content: _Content, until: int, now_us: int, stopping: bool) -> Sealed:
        self._sequence[partition] += 1
        header = Header(
            self._gateway,
            partition,
            self.epoch,
            self._sequence[partition],
            self._until[partition],
            until,
            now_us,
            content.events,
            content.texts,
            stopping,
        )
        body = encode(header, content.scans)
        self._until[partition] = until
        return Sealed(
            partition,
            self.epoch,
            header.sequence,
            header.watched_from,
            until,
            sign(body, self._key),
            body,
            stopping,
        )


def _by_partition(group: Sequence[Slot]) -> list[_Content]:
    scans = scans_of(group)
    parts = scans.device % PARTITIONS
    ordered = scans.take(np.argsort(parts, kind="stable"))
    ends = np.cumsum(np.bincount(parts, minlength=PARTITIONS)).tolist()
    contents = [
        _Content(ordered.between(begin, end), [], [])
        for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
    for slot in group:
        for notice in slot.notices:
            _announce(contents, notice)
        for event in slot.events:
            contents[partition_of(event.device)].events.append(event)
        for text in slot.texts:
            contents[partition_of(text.device)].texts.append(text)
    return contents


def _announce(contents: list[_Content], notice: Notice) -> None:
    for partition, content in enumerate(contents):
        if notice.partition in (None, partition):
            content.events.append(notice.event)
