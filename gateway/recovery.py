"""Taking up what an earlier process left in the outbox folder.

Its unsealed slots become the first batches of the new epoch, with their own instants. The time from there to
the new watch is a gap, which the new watch says first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.subjects import PARTITIONS
from gateway.outbox import journal
from gateway.outbox.folder import Folder
from gateway.outbox.journal import Journal
from gateway.outbox.records import Marks
from gateway.outbox.store import Outbox
from gateway.sealing import Sealer
from gateway.slots import Notice, Slot
from muster.errors import Backpressure, Unavailable
from muster.events import Event

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recovered:
    """A folder that is ready for a new watch.

    before, tail: how far sealing had come, and the slots behind it, which are sealed by now.
    """

    outbox: Outbox
    journal: Journal
    sealer: Sealer
    before: Marks
    tail: list[Slot]

    @property
    def next_number(self) -> int:
        """The number of the new watch's first slot."""
        return (self.tail[-1].number if self.tail else self.before.through) + 1


def recover(folder: Folder, limit_bytes: int, gateway: int, key: Ed25519PrivateKey, now_us: int) -> Recovered:
    """Open the outbox, begin a new epoch and seal what the journal holds.

    Raises:
        Unavailable: the disk refuses; nothing is lost, try again.
    """
    try:
        outbox = Outbox(folder.path, limit_bytes)
        try:
            before = outbox.marks
            tail, generation = unsealed(folder.path, before)
            epoch = folder.next_epoch(max(mark.epoch for mark in before.partitions), now_us)
            sealer = Sealer(gateway, epoch, key, before)
            for seal in sealer.seal(tail, now_us):
                if seal.batches:
                    outbox.append(seal.through, seal.batches)
            begun = Journal(folder.path, generation)
        except BaseException:
            outbox.close()
            raise
    except (OSError, Backpressure) as error:
        raise Unavailable(f"outbox_dir {folder.path}: {error}") from error
    _log.info("recovered", epoch=epoch, slots=len(tail), outbox_bytes=outbox.size)
    return Recovered(outbox, begun, sealer, before, tail)


def unsealed(folder: Path, marks: Marks) -> tuple[list[Slot], int]:
    """Return the journal's slots behind `marks`, and the newest generation of its files.

    Where slots are missing between them, the first one behind the hole says so. Raises OSError.
    """
    slots, generation = journal.recover(folder, marks.through)
    number, until = marks.through, max(mark.watched_until for mark in marks.partitions)
    for slot in slots:
        if number and slot.number != number + 1:
            slot.notices.insert(0, Notice(None, gap("outbox-damaged", until, slot.since)))
        number, until = slot.number, slot.watermark
    return slots, generation


def absence(marks: Marks, slots: Sequence[Slot], now_us: int) -> list[Notice]:
    """Return the gaps from where each partition was last watched up to now; none at the very first start.

    marks, slots: as recovered, before this start sealed anything.
    """
    notices: list[Notice] = []
    for partition in range(PARTITIONS):
        mark = marks.partitions[partition]
        at = slots[-1].watermark if slots else mark.watched_until
        if at:
            stopped = mark.stopped and not slots
            reason = "gateway-stopped" if stopped else "gateway-down"
            notices.append(Notice(partition, gap(reason, at, now_us)))
    return notices


def gap(reason: str, at: int, until: int) -> Event:
    """Return the gateway's own gap event; a clock set back in between does not turn it round."""
    return Event("gap", 0, min(at, until), max(at, until), reason)
