"""The journal: slots not yet sealed, written as they are cut and not synced: a killed process loses one slot.

Two files are written in turn, from the beginning, over what they held; nothing is made, cut or removed
while the gateway works, so a write changes no metadata. A file is only overwritten once all its slots are
sealed. All writing is done by one thread, because a write may wait for the disk and the event loop must
not.
"""

import contextlib
import os
import queue
import threading
from pathlib import Path

from gateway.slots import Slot, decode_slots, encode_slot
from muster.files import write_all

_SHRINK_BYTES = 16 << 20
_FILES = ("journal-0", "journal-1")


def recover(folder: Path, through: int) -> tuple[list[Slot], int]:
    """Return the slots behind number `through`, in order, and the newest generation. Raises OSError.

    Slots with a hole before them are given too; the hole shows in their numbers.
    """
    files: list[tuple[int, list[Slot]]] = []
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            files.append(decode_slots((folder / name).read_bytes()))
    files.sort(key=lambda file: file[0])
    tail: list[Slot] = []
    for _, slots in files:
        last = tail[-1].number if tail else through
        tail += [slot for slot in slots if slot.number > last]
    return tail, max((generation for generation, _ in files), default=0)


class Journal:
    """The two files at work. All methods but `close` return at once."""

    def __init__(self, folder: Path, generation: int) -> None:
        """Go on behind `generation`; whatever the files hold must be sealed by now. Raises OSError."""
        self.failed: str | None = None
        self._handles = [
            os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in _FILES
        ]
        self._generation = generation + 1
        self._offset = 0
        self._last = [0, 0]
        self._sealed = self._turned_at = 0
        self._given = self._done = 0
        self._queue: queue.SimpleQueue[Slot | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many slots the disk has not yet taken."""
        return self._given - self._done

    def put(self, slot: Slot) -> None:
        """Write this slot as soon as the disk allows; see `failed` and `waiting` for a disk that does not."""
        self._given += 1
        self._queue.put(slot)

    def sealed(self, through: int) -> None:
        """Let go of all slots up to number `through`."""
        self._sealed = through

    def close(self) -> None:
        """Write what is waiting and end."""
        self._queue.put(None)
        self._thread.join()
        for handle in self._handles:
            os.close(handle)

    def _work(self) -> None:
        while (slot := self._queue.get()) is not None:
            try:
                self._write(slot)
                self.failed = None
            except OSError as error:
                self.failed = error.strerror or str(error)
            self._done += 1

    def _write(self, slot: Slot) -> None:
        file = self._generation % 2
        sealed = self._sealed
        if self._offset and self._last[1 - file] <= sealed and sealed > self._turned_at:
            # Once for each seal: so the slots of the newest seal stay in the file that is left.
            self._turned_at = sealed
            self._generation += 1
            self._offset = 0
            file = self._generation % 2
            if os.fstat(self._handles[file]).st_size > _SHRINK_BYTES:
                os.ftruncate(self._handles[file], 0)
        data = encode_slot(slot, self._generation)
        write_all(self._handles[file], data, self._offset)
        self._offset += len(data)
        self._last[file] = slot.number
