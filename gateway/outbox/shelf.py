"""The segments of an outbox in order, shared by the thread that appends and those that read."""

import threading
from collections.abc import Iterable

from gateway.outbox.segments import Segment


class Shelf:
    """At least one segment; only the last one grows."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._segments = list(segments)
        self._lock = threading.Lock()
        self._size = sum(segment.size for segment in self._segments)

    @property
    def last(self) -> Segment:
        """The segment that grows."""
        return self._segments[-1]

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._size

    def first_from(self, number: int) -> Segment | None:
        """Return the first segment whose number is at least `number`."""
        with self._lock:
            return next((segment for segment in self._segments if segment.number >= number), None)

    def grow(self, count: int) -> None:
        """Make `count` more bytes of the last segment known to readers."""
        with self._lock:
            self._segments[-1].size += count
            self._size += count

    def add(self, segment: Segment) -> None:
        """Put a new last segment."""
        with self._lock:
            self._segments.append(segment)
            self._size += segment.size

    def remove_before(self, number: int) -> None:
        """Delete all segments below `number` but the last."""
        with self._lock:
            read = [segment for segment in self._segments[:-1] if segment.number < number]
            self._segments = self._segments[len(read) :]
            self._size -= sum(segment.size for segment in read)
        for segment in read:
            segment.path.unlink(missing_ok=True)
