"""Reading the outbox: one partition's batches in order, each once, passing over damage and noting it."""

import os
from collections import deque
from dataclasses import dataclass

from gateway.outbox import segments
from gateway.outbox.cursor import Taken
from gateway.outbox.records import Mark, Place, Record, Sealed
from gateway.outbox.segments import Segment
from gateway.outbox.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Loss:
    """Batches of a partition that were sealed and cannot be read any more; times in µs since 1970."""

    partition: int
    at: int
    until: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """A batch that is still in memory, and where it lies: entry `index` of the record at `offset` of a segment."""

    batch: Sealed
    through: int
    segment_number: int
    offset: int
    index: int


class Damage:
    """What readers met that could not be read, for all partitions of an outbox."""

    def __init__(self) -> None:
        self.places = 0
        self.losses: list[Loss] = []


class Reader:
    """One partition's place on the shelf."""

    def __init__(self, shelf: Shelf, damage: Damage, partition: int, before: Mark) -> None:
        """before: the last batch that the bus took."""
        self.segment_number = 0
        self._shelf = shelf
        self._damage = damage
        self._partition = partition
        self._before = before
        self._known = before.epoch > 0
        self._handle: int | None = None
        self._offset = 0
        self._index = 0
        self._through = 0
        self._current: Sealed | None = None

    def current(self) -> Sealed | None:
        """Return the batch at this place, or None at the end. Raises OSError."""
        while self._current is None:
            segment = self._shelf.first_from(self.segment_number)
            if segment is None:
                return None
            if segment.number != self.segment_number:
                self._enter(segment)
            elif self._handle is None:
                self._handle = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            assert self._handle is not None
            end = segment.size
            record = segments.next_record(self._handle, self._offset, end)
            if record is None:
                newer = self._shelf.first_from(segment.number + 1)
                if newer is None:
                    return None
                # This segment has grown for the last time, but perhaps since `end` was read.
                if segment.size == end:
                    if self._offset < end:
                        self._damage.places += 1
                    self._enter(newer)
                continue
            if record.start != self._offset:
                self._damage.places += 1
                self._index = 0
            self._offset = record.start
            self._current = self._next_in(record)
        return self._current

    def current_of(self, fresh: deque[Fresh]) -> Sealed | None:
        """Return the batch at this place if it is among `fresh`, which only grows at its end meanwhile.

        Only the direct successor of the batch before is taken from there; whatever else follows is read.
        """
        while self._current is None and fresh:
            found = fresh[0]
            name, before = found.batch.name, self._before.name
            if name <= before:
                fresh.popleft()
                continue
            if name != (before[0], before[1] + 1):
                break
            if found.segment_number != self.segment_number:
                self.close()
            self.segment_number = found.segment_number
            self._offset, self._index, self._through = found.offset, found.index + 1, found.through
            self._current = found.batch
        return self._current

    def _next_in(self, record: Record) -> Sealed | None:
        assert self._handle is not None
        for index, place in enumerate(record.places[self._index :], self._index):
            if place.partition != self._partition or place.name <= self._before.name:
                continue
            body = os.pread(self._handle, place.length, place.offset)
            if not place.intact(body):
                self._damage.places += 1
                continue
            self._index = index + 1
            self._through = record.through
            self._note_loss(place)
            return Sealed(
                place.partition,
                place.epoch,
                place.sequence,
                place.watched_from,
                place.watched_until,
                place.signature,
                body,
                place.stopping,
            )
        self._offset, self._index = record.end, 0
        return None

    def advance(self) -> Taken:
        """Go on behind the batch that `current` returned."""
        batch = self._current
        assert batch is not None, "acknowledged before it was read"
        self._before, self._known = batch.mark, True
        self._current = None
        return Taken(self._before, self._through)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _enter(self, segment: Segment) -> None:
        self.close()
        self._handle = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self.segment_number = segment.number
        head = segments.read_head(self._handle)
        if head is None:
            self._damage.places += 1
        self._offset, self._index = (0 if head is None else head[1]), 0
        if head is not None and not self._known:
            self._before = head[0].partitions[self._partition]
            self._known = True

    def _note_loss(self, place: Place) -> None:
        before = self._before
        follows = (place.epoch == before.epoch and place.sequence == before.sequence + 1) or (
            place.epoch > before.epoch and place.sequence == 1
        )
        if self._known and not follows:
            at = before.watched_until or place.watched_from
            self._damage.losses.append(Loss(self._partition, at, place.watched_from))
