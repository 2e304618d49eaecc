"""Segment files: numbered pieces of the outbox, written at the end and removed whole.

All offsets are bytes from a file's start. Nothing here decides what a record means.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox.records import (
    HEAD_LENGTH,
    MAGIC,
    Marks,
    Record,
    decode_directory,
    decode_segment_head,
    directory_length,
    encode_segment_head,
)
from muster.files import sync_folder, write_all

_SEARCH_BYTES = 1 << 16
sync_data = getattr(os, "fdatasync", os.fsync)


@dataclass(slots=True)
class Segment:
    """One file; `size` is how far its records are durable."""

    number: int
    path: Path
    size: int


def segment_path(folder: Path, number: int) -> Path:
    """Return where segment `number` lies."""
    return folder / f"segment-{number:012d}"


def found_in(folder: Path) -> list[Segment]:
    """Return the segments of `folder` in order."""
    return [
        Segment(int(path.name.removeprefix("segment-")), path, path.stat().st_size)
        for path in sorted(folder.glob("segment-" + "[0-9]" * 12))
    ]


def begin(folder: Path, number: int, marks: Marks) -> Segment:
    """Make a new segment durable with its marks. Raises OSError and leaves no file then."""
    path = segment_path(folder, number)
    head = encode_segment_head(marks)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(handle, head, 0)
        os.fsync(handle)
        sync_folder(folder)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return Segment(number, path, len(head))


def read_head(handle: int) -> tuple[Marks, int] | None:
    """Return a segment's marks and where its records begin, or None when its head is damaged."""
    return decode_segment_head(os.pread(handle, _SEARCH_BYTES, 0))


def read_record(handle: int, offset: int, end: int) -> Record | None:
    """Return the record that begins at `offset`, or None when there is no whole directory before `end`."""
    head = os.pread(handle, min(HEAD_LENGTH, end - offset), offset)
    length = directory_length(head)
    if length is None or offset + length > end:
        return None
    return decode_directory(os.pread(handle, length, offset), offset)


def next_record(handle: int, offset: int, end: int) -> Record | None:
    """Return the first record at or behind `offset` whose directory is intact, or None before `end`."""
    while offset + HEAD_LENGTH <= end:
        record = read_record(handle, offset, end)
        if record is not None:
            return record
        offset = _next_magic(handle, offset + 1, end)
    return None


def records(handle: int, offset: int, end: int) -> Iterator[Record]:
    """Give every record with an intact directory, in order, passing over damage between them."""
    while (record := next_record(handle, offset, end)) is not None:
        yield record
        offset = record.end


def intact(handle: int, record: Record) -> bool:
    """Tell whether every body of `record` is as it was written."""
    return all(place.intact(os.pread(handle, place.length, place.offset)) for place in record.places)


def _next_magic(handle: int, offset: int, end: int) -> int:
    while offset < end:
        chunk = os.pread(handle, min(_SEARCH_BYTES, end - offset), offset)
        found = chunk.find(MAGIC)
        if found >= 0:
            return offset + found
        if len(chunk) < len(MAGIC):
            return end
        offset += len(chunk) - len(MAGIC) + 1
    return end
