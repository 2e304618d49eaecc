"""Receipts: which messages of a broker were put into the outbox, so that a redelivery is not put twice.

A receipt is a digest of topic and payload with the packet identifier, and the number of the slot that holds the
message. It is in the file before that slot can be durable, so after a kill there are three cases: receipt and slot (a
redelivery is only acknowledged), receipt without a durable slot (it does not count: the message is put again), neither.
A receipt goes once the broker has shown that it took our acknowledgement. The file is not synced: it outlives the
process, and a power cut may double what the broker delivers again.

Brokers deliver again under the same identifier (MQTT 3.1.1, 4.4), but for NATS after its own restart. So a redelivery
whose identifier is new is held against what we certainly never acknowledged: of that the broker owes each once more,
and which of several equal messages is which does not matter.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from muster.errors import Unavailable
from muster.files import replace_file

DIGEST_BYTES = 16
_CONTENT_BYTES = DIGEST_BYTES - 2
_RECORD_BYTES = DIGEST_BYTES + 8
_GONE = 2**64 - 1
_COMPACT_BYTES = 4 << 20
_FINISHED_KEPT = 8192


def digest_of(packet: int, topic: str, payload: bytes) -> bytes:
    """Return what a redelivered message shares with its first delivery, and with nothing else that is under way."""
    content = _named(topic) + payload
    return blake2b(content, digest_size=_CONTENT_BYTES).digest() + packet.to_bytes(2, "big")


@lru_cache(16_384)
def _named(topic: str) -> bytes:
    name = topic.encode("utf-8", "surrogateescape")
    return len(name).to_bytes(4, "big") + name


class Receipts:
    """The receipts of one session, in memory and in one file."""

    def __init__(self, path: Path, sealed: int) -> None:
        """sealed: the newest slot known to be durable; receipts of later ones do not count.

        Raises Unavailable when the file cannot be used.
        """
        self._path = path
        self._slots: dict[bytes, int] = {}
        self._earlier: set[bytes] = set()
        """Receipts of earlier connections whose messages have not come again."""
        self._owed: dict[bytes, list[bytes]] = {}
        """Content → receipts of messages that were not acknowledged when their connection ended."""
        self._finished: set[bytes] = set()
        """Confirmed on this connection; NATS may have begun to deliver them again before it saw that."""
        self._finished_before: set[bytes] = set()
        self._unwritten = bytearray()
        self._file = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from error
        for at in range(0, len(kept) - _RECORD_BYTES + 1, _RECORD_BYTES):
            digest = kept[at : at + DIGEST_BYTES]
            slot = int.from_bytes(kept[at + DIGEST_BYTES : at + _RECORD_BYTES], "big")
            self._slots.pop(digest, None)
            if slot <= sealed:
                self._slots[digest] = slot
        self._earlier = set(self._slots)
        self._rewrite()

    def __len__(self) -> int:
        return len(self._slots)

    def known(self, digest: bytes) -> int | None:
        """Return the slot that holds a message that the broker delivers again, None when it was never put.

        0: it was acknowledged, and the broker has shown that it knows.
        """
        self._earlier.discard(digest)
        owed = self._owed.get(digest[:_CONTENT_BYTES], [])
        if digest in self._slots:
            if digest in owed:
                owed.remove(digest)
            return self._slots[digest]
        if digest in self._finished or digest in self._finished_before:
            return 0
        if not owed:
            return None
        before = owed.pop(0)
        slot = self._slots[before]
        self._earlier.discard(before)
        self._drop([before])
        self.put([digest], slot)
        return slot

    def put(self, digests: Sequence[bytes], slot: int) -> None:
        """Note that messages lie in `slot`; `flush` must follow before that may be durable."""
        if self._owed or self._earlier:
            for digest in digests:
                self._settle(digest)
        self._slots.update(dict.fromkeys(digests, slot))
        self._write(digests, slot)

    def confirm(self, acknowledged: Iterable[tuple[int, list[bytes]]]) -> None:
        """Forget messages that will not come again, digests by slot; one put later under the same digest stays."""
        slots = self._slots
        for slot, digests in acknowledged:
            self._drop([digest for digest in digests if slots.get(digest) == slot])
            self._finished.update(digests)
        if len(self._finished) > _FINISHED_KEPT:
            self._finished_before, self._finished = self._finished, set()

    def interrupt(self, unacknowledged: Iterable[bytes]) -> None:
        """Note that a connection ended, and which of its messages were not acknowledged."""
        self._finished.clear()
        self._finished_before.clear()
        self._earlier = set(self._slots)
        for digest in unacknowledged:
            if digest in self._slots:
                owed = self._owed.setdefault(digest[:_CONTENT_BYTES], [])
                if digest not in owed:
                    owed.append(digest)

    def expire(self) -> None:
        """Forget what came before this connection and was not delivered again: the broker had our word."""
        self._drop(self._earlier)
        self._earlier.clear()
        self._owed.clear()

    def _drop(self, digests: Collection[bytes]) -> None:
        for digest in digests:
            self._slots.pop(digest, None)
        self._write(digests, _GONE)

    def _write(self, digests: Collection[bytes], slot: int) -> None:
        """Let records stand behind those that `flush` writes next."""
        if digests:
            tail = slot.to_bytes(8, "big")
            self._unwritten += tail.join(digests) + tail

    def _settle(self, digest: bytes) -> None:
        """Let a receipt that is replaced by a newer message of the same digest be owed no more."""
        self._earlier.discard(digest)
        owed = self._owed.get(digest[:_CONTENT_BYTES])
        if owed and digest in owed:
            owed.remove(digest)

    def clear(self) -> None:
        """Forget all: the broker has forgotten the session. Raises Unavailable when the file cannot be written."""
        self._slots.clear()
        self._earlier.clear()
        self._owed.clear()
        self._rewrite()

    def flush(self) -> None:
        """Write what was noted. Raises Unavailable when the disk does not take it."""
        if not self._unwritten:
            return
        try:
            if self._size > _COMPACT_BYTES + 2 * _RECORD_BYTES * len(self._slots):
                self._rewrite()
                return
            written = os.write(self._file, self._unwritten)
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error
        self._size += written
        del self._unwritten[:written]
        if self._unwritten:  # the rest of a record goes behind its beginning
            raise Unavailable(f"{self._path}: the disk is full")

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rewrite(self) -> None:
        """Replace the file by one that holds only what counts."""
        content = b"".join(digest + slot.to_bytes(8, "big") for digest, slot in self._slots.items())
        try:
            replace_file(self._path, content)
            self.close()
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error
        self._size = len(content)
        self._unwritten.clear()
