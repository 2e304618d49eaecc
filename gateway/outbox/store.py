"""The outbox: sealed batches, durable before `append` returns, given out in order until the bus has them.

One thread appends; each partition is read by one caller at a time. What was just sealed is also kept in memory,
a few batches of each partition, so that a bus that keeps up is served without the disk. Damage never stops the
road: what cannot be read is passed over, and the jump that this leaves is kept in `damage` for the recorder to say
as a gap.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from bus.subjects import PARTITIONS
from gateway.outbox import segments
from gateway.outbox.cursor import Cursor
from gateway.outbox.mending import mend
from gateway.outbox.reader import Damage, Fresh, Reader
from gateway.outbox.records import Sealed, encode_record
from gateway.outbox.shelf import Shelf
from muster.errors import Backpressure
from muster.files import write_all

SEGMENT_BYTES = 4 << 20
MOST_FRESH = 4
"""How many of a partition's newest batches are kept in memory."""


class Outbox:
    """The sealed batches of one gateway in one folder."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Open or make it, and mend a torn end. Raises OSError."""
        self.limit_bytes = limit_bytes
        self.damage = Damage()
        self._folder = folder
        self._segment_bytes = min(SEGMENT_BYTES, max(1, limit_bytes // 8))
        self._reading = threading.Lock()
        self._closed = self._unsettled = False
        self._cursor = Cursor(folder / "taken")
        mended = mend(folder, self._cursor)
        self.marks = mended.marks
        self._suspect = mended.damaged
        self._shelf = Shelf(mended.segments)
        self._handle = os.open(self._shelf.last.path, os.O_RDWR | os.O_CLOEXEC)
        self._fresh: list[deque[Fresh]] = [deque(maxlen=MOST_FRESH) for _ in range(PARTITIONS)]
        self._readers = [
            Reader(self._shelf, self.damage, partition, self._cursor[partition].mark)
            for partition in range(PARTITIONS)
        ]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._shelf.size

    @property
    def unsent_us(self) -> int:
        """How much watched time, in µs, the partition that is furthest behind still has to send."""
        return max(
            sealed.watched_until - taken.watched_until if taken.epoch and sealed.name > taken.name else 0
            for sealed, taken in zip(
                self.marks.partitions, (self._cursor[p].mark for p in range(PARTITIONS)), strict=True
            )
        )

    @property
    def drained(self) -> bool:
        """Whether the bus has everything that was sealed."""
        return all(self.sent(partition) for partition in range(PARTITIONS))

    def sent(self, partition: int) -> bool:
        """Tell whether the bus has everything of a partition that was sealed."""
        return self.marks.partitions[partition].name <= self._cursor[partition].mark.name

    def append(self, through: int, batches: Sequence[Sealed]) -> None:
        """Make the batches of one seal durable.

        Raises:
            Backpressure: the disk refused; nothing was kept, and the same batches must be given again.
        """
        data = encode_record(through, batches)
        try:
            if self._suspect or self._shelf.last.size + len(data) > self._segment_bytes:
                self._begin_segment()
            end = self._shelf.last.size
            try:
                write_all(self._handle, data, end)
            except OSError:
                os.ftruncate(self._handle, end)
                raise
            self._suspect = True  # until the sync succeeds, nobody knows what the disk holds
            segments.sync_data(self._handle)
            self._suspect = False
        except OSError as error:
            raise Backpressure(f"outbox {self._folder}: {error.strerror}") from error
        segment = self._shelf.last.number
        self.marks = self.marks.after(through, batches)
        self._shelf.grow(len(data))
        for index, batch in enumerate(batches):
            self._fresh[batch.partition].append(Fresh(batch, through, segment, end, index))

    def fresh(self, partition: int) -> Sealed | None:
        """Return what `read` would, if it is in memory; never waits for the disk."""
        if not self._reading.acquire(blocking=False):
            return None
        try:
            return None if self._closed else self._readers[partition].current_of(self._fresh[partition])
        finally:
            self._reading.release()

    def read(self, partition: int) -> Sealed | None:
        """Return the partition's oldest batch that the bus has not acknowledged. Raises OSError."""
        with self._reading:
            return None if self._closed else self._readers[partition].current()

    def acknowledge(self, partition: int) -> None:
        """Let go of what `read` or `fresh` returned; `settle` makes it known to the disk."""
        self._cursor.move(partition, self._readers[partition].advance())
        self._unsettled = True

    @property
    def unsettled(self) -> bool:
        """Whether `settle` has something to do."""
        return self._unsettled

    def settle(self) -> None:
        """Remember across a restart what was let go of, and remove what nobody reads any more. Raises OSError."""
        with self._reading:
            if self._closed or not self._unsettled:
                return
            self._unsettled = False
            try:
                self._cursor.write()
                self._shelf.remove_before(min(reader.segment_number for reader in self._readers))
            except OSError:
                self._unsettled = True
                raise

    def close(self) -> None:
        """Close all files, once whoever reads has come to an end."""
        with self._reading:
            self._closed = True
            with contextlib.suppress(OSError):  # then some batches are sent again
                self._cursor.write()
            for reader in self._readers:
                reader.close()
            self._cursor.close()
            os.close(self._handle)

    def _begin_segment(self) -> None:
        segment = segments.begin(self._folder, self._shelf.last.number + 1, self.marks)
        handle = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
        os.close(self._handle)
        self._handle, self._suspect = handle, False
        self._shelf.add(segment)
