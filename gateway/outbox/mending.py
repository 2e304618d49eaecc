"""Taking up an outbox's segments after whatever ended the process that wrote them."""

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox import segments
from gateway.outbox.cursor import Cursor
from gateway.outbox.records import Marks, Record
from gateway.outbox.segments import Segment


@dataclass(frozen=True, slots=True)
class Mended:
    """The segments with a torn end cut off, and how far sealing has come.

    damaged: the last segment is damaged where it ends and must not be written on.
    """

    segments: list[Segment]
    marks: Marks
    damaged: bool


def mend(folder: Path, cursor: Cursor) -> Mended:
    """Return what `folder` holds, at least one segment. Raises OSError."""
    found = segments.found_in(folder)
    begun = len(found)
    marks: Marks | None = None
    while begun and marks is None:
        begun -= 1
        marks = _head_of(found[begun])
    marks = marks or Marks()
    end: int | None = 0
    for segment in found[begun:]:
        marks, end = _walk(segment, marks, cursor)
    marks = Marks(
        max(marks.through, cursor.through),
        tuple(
            max(mark, cursor[partition].mark, key=lambda each: each.name)
            for partition, mark in enumerate(marks.partitions)
        ),
    )
    if end == 0:  # no segment, or one whose making was cut off
        number = found[-1].number if found else 1
        found = [*found[:-1], segments.begin(folder, number, marks)]
    elif end is not None:
        _cut(found[-1], end)
    return Mended(found, marks, end is None)


def _head_of(segment: Segment) -> Marks | None:
    handle = os.open(segment.path, os.O_RDONLY)
    try:
        head = segments.read_head(handle)
        return None if head is None else head[0]
    finally:
        os.close(handle)


def _walk(segment: Segment, marks: Marks, cursor: Cursor) -> tuple[Marks, int | None]:
    """Return the marks at the segment's end, and where its last whole record ends.

    A last record that is damaged was torn while it was written, unless the bus already took something of it:
    then it was whole once, and stays for what can still be read. Then the end is None.
    """
    handle = os.open(segment.path, os.O_RDONLY)
    try:
        head = segments.read_head(handle)
        end = 0 if head is None else head[1]
        last: Record | None = None
        for record in segments.records(handle, end, segment.size):
            if last is not None:
                marks, end = marks.after(last.through, last.places), last.end
            last = record
        if last is None:
            return marks, end
        if segments.intact(handle, last):
            return marks.after(last.through, last.places), last.end
        if any(cursor[place.partition].mark.name >= place.name for place in last.places):
            return marks.after(last.through, last.places), None
        return marks, end
    finally:
        os.close(handle)


def _cut(segment: Segment, end: int) -> None:
    handle = os.open(segment.path, os.O_RDWR)
    try:
        os.ftruncate(handle, end)
        os.fsync(handle)
    finally:
        os.close(handle)
    segment.size = end
