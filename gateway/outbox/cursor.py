"""How far the bus has taken each partition: one small file, overwritten in place soon after acknowledgements.

It is not synced, and several acknowledgements share one write: after a kill or a power cut it may be behind, and
batches are sent again, which the bus and ingest know by their names. It is never ahead.
"""

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from bus.subjects import PARTITIONS
from gateway.outbox.records import Mark

_TAKEN = struct.Struct("<QQqQB")
_CHECK = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Taken:
    """The last batch of a partition that the bus took, and the last journal slot in it."""

    mark: Mark = field(default_factory=Mark)
    through: int = 0


class Cursor:
    """The file and what it holds."""

    def __init__(self, path: Path) -> None:
        """Read it, or begin anew where it is absent or damaged. Raises OSError."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._taken = _decode(os.pread(self._handle, 4096, 0)) or [Taken()] * PARTITIONS

    def __getitem__(self, partition: int) -> Taken:
        return self._taken[partition]

    @property
    def through(self) -> int:
        """The last journal slot of which something was taken."""
        return max(taken.through for taken in self._taken)

    def move(self, partition: int, taken: Taken) -> None:
        """Remember that the bus took this, in memory until `write`."""
        self._taken[partition] = taken

    def write(self) -> None:
        """Write down how far the bus has come. Raises OSError; in memory it stands all the same."""
        os.pwrite(self._handle, _encode(self._taken), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _encode(taken: list[Taken]) -> bytes:
    body = b"".join(
        _TAKEN.pack(
            each.mark.epoch, each.mark.sequence, each.mark.watched_until, each.through, each.mark.stopped
        )
        for each in taken
    )
    return _CHECK.pack(zlib.crc32(body)) + body


def _decode(data: bytes) -> list[Taken] | None:
    if len(data) != _CHECK.size + PARTITIONS * _TAKEN.size:
        return None
    (check,) = _CHECK.unpack_from(data)
    if zlib.crc32(data[_CHECK.size :]) != check:
        return None
    return [
        Taken(Mark(epoch, sequence, until, bool(stopped)), through)
        for epoch, sequence, until, through, stopped in _TAKEN.iter_unpack(data[_CHECK.size :])
    ]
