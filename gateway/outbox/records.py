"""The outbox's format on disk: pure functions from batches to bytes and back.

A segment file begins with its `Marks` (what was already sealed when it was begun), followed by records. One
record holds the batches of one seal and is taken whole or not at all:

    4 bytes   magic "MOX1"
    u32       CRC-32 of the rest of the head and of the directory
    u32       number of entries
    u64       number of the last journal slot that this seal holds
    directory one `_ENTRY` per batch: partition, flags, epoch, sequence, watched span, signature, length, CRC
    bodies    the batches' bytes, in the directory's order

A reader that meets damage looks for the next magic whose check sum holds; what was lost shows as a jump in
the partition's sequence, which is recorded as a gap, never passed over in silence.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bus.subjects import PARTITIONS

MAGIC = b"MOX1"
_SEGMENT_MAGIC = b"MOS1"
_HEAD = struct.Struct("<4sIIQ")
HEAD_LENGTH = _HEAD.size
_CHECKED = 8  # the check sum covers everything behind itself
_ENTRY = struct.Struct("<HHQQqq88sII")
_STOPPING = 1
_MOST_ENTRIES = 4096
_SEGMENT_HEAD = struct.Struct("<4sII")


class Mark(msgspec.Struct, frozen=True):
    """How far one partition has come: the name of its last batch and the instant up to which it watched."""

    epoch: int = 0
    sequence: int = 0
    watched_until: int = 0
    stopped: bool = False

    @property
    def name(self) -> tuple[int, int]:
        """The last batch's name."""
        return (self.epoch, self.sequence)


@dataclass(frozen=True, slots=True)
class Sealed:
    """One signed batch. Times are µs since 1970; `signature` is the base64 text of its header."""

    partition: int
    epoch: int
    sequence: int
    watched_from: int
    watched_until: int
    signature: str
    body: bytes
    stopping: bool = False

    @property
    def name(self) -> tuple[int, int]:
        """Its name within the gateway and the partition."""
        return (self.epoch, self.sequence)

    @property
    def mark(self) -> Mark:
        """The partition's mark once this batch is sealed."""
        return Mark(self.epoch, self.sequence, self.watched_until, self.stopping)


class Marks(msgspec.Struct, frozen=True):
    """How far sealing has come: the last journal slot sealed, and every partition's mark."""

    through: int = 0
    partitions: tuple[Mark, ...] = (Mark(),) * PARTITIONS

    def after(self, through: int, batches: "Sequence[Sealed | Place]") -> "Marks":
        """Return the marks once these batches are sealed too, and the slots up to `through` with them."""
        partitions = list(self.partitions)
        for batch in batches:
            if batch.name > partitions[batch.partition].name:
                partitions[batch.partition] = batch.mark
        return Marks(max(self.through, through), tuple(partitions))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch lies in its segment, from the file's start, and what the directory says of it."""

    partition: int
    epoch: int
    sequence: int
    watched_from: int
    watched_until: int
    stopping: bool
    signature: str
    offset: int
    length: int
    check: int

    @property
    def name(self) -> tuple[int, int]:
        """The batch's name."""
        return (self.epoch, self.sequence)

    @property
    def mark(self) -> Mark:
        """The partition's mark once this batch is sealed."""
        return Mark(self.epoch, self.sequence, self.watched_until, self.stopping)

    def intact(self, body: bytes) -> bool:
        """Tell whether `body` is what was written."""
        return len(body) == self.length and zlib.crc32(body) == self.check


@dataclass(frozen=True, slots=True)
class Record:
    """A record's directory. It lies in its segment from `start` up to `end`."""

    through: int
    places: tuple[Place, ...]
    start: int
    end: int


def encode_record(through: int, batches: Sequence[Sealed]) -> bytes:
    """Return the bytes of one record."""
    directory = b"".join(
        _ENTRY.pack(
            batch.partition,
            _STOPPING if batch.stopping else 0,
            batch.epoch,
            batch.sequence,
            batch.watched_from,
            batch.watched_until,
            batch.signature.encode(),
            len(batch.body),
            zlib.crc32(batch.body),
        )
        for batch in batches
    )
    head = _HEAD.pack(MAGIC, 0, len(batches), through)
    check = zlib.crc32(directory, zlib.crc32(head[_CHECKED:]))
    head = _HEAD.pack(MAGIC, check, len(batches), through)
    return b"".join([head, directory, *(batch.body for batch in batches)])


def directory_length(head: bytes) -> int | None:
    """Return how many bytes head and directory take together, or None when `head` begins no record."""
    if len(head) < _HEAD.size:
        return None
    magic, _, count, _ = _HEAD.unpack_from(head)
    if magic != MAGIC or count > _MOST_ENTRIES:
        return None
    return _HEAD.size + int(count) * _ENTRY.size


def decode_directory(data: bytes, start: int) -> Record | None:
    """Return the record whose head and directory `data` holds, or None when they are damaged.

    start: the record's offset in its segment.
    """
    length = directory_length(data)
    if length is None or len(data) < length:
        return None
    _, check, count, through = _HEAD.unpack_from(data)
    if zlib.crc32(data[_CHECKED:length]) != check:
        return None
    offset = start + length
    places: list[Place] = []
    for index in range(count):
        partition, flags, epoch, sequence, since, until, signature, size, body_check = _ENTRY.unpack_from(
            data, _HEAD.size + index * _ENTRY.size
        )
        places.append(
            Place(
                partition,
                epoch,
                sequence,
                since,
                until,
                bool(flags & _STOPPING),
                signature.rstrip(b"\0").decode("ascii"),
                offset,
                size,
                body_check,
            )
        )
        offset += size
    return Record(through, tuple(places), start, offset)


def encode_segment_head(marks: Marks) -> bytes:
    """Return the bytes with which a segment begins."""
    body = msgspec.json.encode(marks)
    return _SEGMENT_HEAD.pack(_SEGMENT_MAGIC, len(body), zlib.crc32(body)) + body


def decode_segment_head(data: bytes) -> tuple[Marks, int] | None:
    """Return a segment's marks and the offset of its first record, or None when the head is damaged."""
    if len(data) < _SEGMENT_HEAD.size:
        return None
    magic, length, check = _SEGMENT_HEAD.unpack_from(data)
    end = _SEGMENT_HEAD.size + length
    if magic != _SEGMENT_MAGIC or len(data) < end or zlib.crc32(data[_SEGMENT_HEAD.size : end]) != check:
        return None
    return msgspec.json.decode(data[_SEGMENT_HEAD.size : end], type=Marks), end
