"""Receipts: which messages of a broker were put into the outbox, so that a redelivery is not put twice.

A receipt is a digest of (packet identifier, topic, payload) with the number of the slot that holds the message. It is
in the file before that slot can be durable, so after a kill there are three cases: receipt and slot (a redelivery is
only acknowledged), receipt without a durable slot (it does not count: the message is put again), neither. A receipt
goes once the broker has shown that it took our acknowledgement. The file is not synced: it outlives the process, and
a power cut may double what the broker delivers again.
"""

import hashlib
import os
from pathlib import Path

from muster.errors import Unavailable

DIGEST_BYTES = 16
_RECORD_BYTES = DIGEST_BYTES + 8
_GONE = 2**64 - 1
_COMPACT_BYTES = 4 << 20


def digest_of(packet: int, topic: str, payload: bytes) -> bytes:
    """Return what a redelivered message shares with its first delivery, and with nothing else that is under way."""
    name = topic.encode("utf-8", "surrogateescape")
    head = packet.to_bytes(2, "big") + len(name).to_bytes(4, "big")
    return hashlib.blake2b(head + name + payload, digest_size=DIGEST_BYTES).digest()


class Receipts:
    """The receipts of one session, in memory and in one file."""

    def __init__(self, path: Path, sealed: int) -> None:
        """sealed: the newest slot known to be durable; receipts of later ones do not count.

        Raises Unavailable when the file cannot be used.
        """
        self._path = path
        self._slots: dict[bytes, int] = {}
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
        self._rewrite()

    def __len__(self) -> int:
        return len(self._slots)

    def digests(self) -> list[bytes]:
        """Return the digests of all receipts, oldest first."""
        return list(self._slots)

    def slot(self, digest: bytes) -> int:
        """Return the slot that holds a message. Raises KeyError for one without a receipt."""
        return self._slots[digest]

    def put(self, digest: bytes, slot: int) -> None:
        """Note that a message lies in `slot`; `flush` must follow before the event loop goes on."""
        self._slots[digest] = slot
        self._unwritten += digest + slot.to_bytes(8, "big")

    def drop(self, digest: bytes, slot: int) -> None:
        """Forget a message that will not come again; one that came later under the same digest stays."""
        if self._slots.get(digest) == slot:
            del self._slots[digest]
            self._unwritten += digest + _GONE.to_bytes(8, "big")

    def clear(self) -> None:
        """Forget all: the broker has forgotten the session. Raises Unavailable when the file cannot be written."""
        self._slots.clear()
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
        if written != len(self._unwritten):
            raise Unavailable(f"{self._path}: the disk is full")
        self._size += written
        self._unwritten.clear()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rewrite(self) -> None:
        """Replace the file by one that holds only what counts."""
        content = b"".join(digest + slot.to_bytes(8, "big") for digest, slot in self._slots.items())
        fresh = self._path.with_suffix(".new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_bytes(content)
            self.close()
            fresh.replace(self._path)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error
        self._size = len(content)
        self._unwritten.clear()
