"""Slots: what was acquired between two beats of the recorder, as raw columns, and their bytes in the journal.

Heads, values and qualities are appended as bytes while scans arrive, so that a scan costs two appends and a
slot is written as it stands; numpy sees them once, when they are sealed.

    4 bytes   magic "MJR1"
    u32       CRC-32 of everything behind it
    u64       generation of the journal file
    u64       number of the slot
    i64 ×2    `since` and `watermark`
    u32 ×4    lengths of heads, values, qualities and notes
    rest      those four; notes are JSON
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from muster.events import Event, TextReading
from muster.scans import How, Scans

MAGIC = b"MJR1"
_HEAD = struct.Struct("<4sIQQqqIIII")
_CHECK = struct.Struct("<4sI")
_CHECKED = _CHECK.size
_MOST_BYTES = 1 << 30

SCAN_HEAD = struct.Struct("<iqqiIBB")
_SCAN_HEAD_TYPE = np.dtype(
    [
        ("device", "<i4"),
        ("time", "<i8"),
        ("received", "<i8"),
        ("first", "<i4"),
        ("count", "<u4"),
        ("how", "u1"),
        ("qualified", "u1"),
    ]
)


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """What the gateway says of itself (device 0) in the batches of one partition, or of all when None."""

    partition: int | None
    event: Event


class _Notes(msgspec.Struct, array_like=True):
    events: list[Event]
    texts: list[TextReading]
    notices: list[Notice]


_encode_notes = msgspec.json.Encoder().encode
_decode_notes = msgspec.json.Decoder(_Notes).decode


@dataclass(slots=True)
class Slot:
    """What was acquired from `since` to `watermark` (µs since 1970); the gateway watched all that time.

    A slot continues the watch of the one before it when its `since` is that one's `watermark`.
    """

    number: int
    since: int
    watermark: int = 0
    heads: bytearray = field(default_factory=bytearray)
    values: bytearray = field(default_factory=bytearray)
    qualities: bytearray = field(default_factory=bytearray)
    events: list[Event] = field(default_factory=list)
    texts: list[TextReading] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether it holds nothing but the time it watched."""
        return not (self.heads or self.events or self.texts or self.notices)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory and in a batch."""
        notes = len(self.events) + len(self.texts) + len(self.notices)
        return len(self.heads) + len(self.values) + len(self.qualities) + 200 * notes


def scans_of(slots: Sequence[Slot]) -> Scans:
    """Return the scans of `slots` as columns, in their order."""
    heads = np.frombuffer(b"".join(slot.heads for slot in slots), _SCAN_HEAD_TYPE)
    if len(heads) == 0:
        return Scans.empty()
    count = heads["count"].astype(np.int64)
    offsets = np.zeros(len(heads) + 1, np.int32)
    np.cumsum(count, out=offsets[1:])
    value = np.frombuffer(b"".join(slot.values for slot in slots), np.float64)
    quality: NDArray[np.int16] | None = None
    qualified = heads["qualified"] != 0
    if qualified.any():
        quality = np.zeros(len(value), np.int16)
        quality[np.repeat(qualified, count)] = np.frombuffer(
            b"".join(slot.qualities for slot in slots), np.int16
        )
    return Scans(
        heads["device"].astype(np.int32),
        heads["time"].astype(np.int64),
        heads["received"].astype(np.int64),
        heads["first"].astype(np.int32),
        heads["how"].copy(),
        offsets,
        value,
        quality,
    )


def heads_of(devices: Sequence[int], time: int, received: int, first: int, count: int, how: How) -> bytes:
    """Return the heads of one scan of each of `devices`, alike but for the device."""
    head = SCAN_HEAD.pack(0, time, received, first, count, how, False)
    heads = np.frombuffer(bytearray(head * len(devices)), _SCAN_HEAD_TYPE)
    heads["device"] = devices
    return heads.tobytes()


def put_scans(slot: Slot, scans: Scans) -> None:
    """Append columns of scans to a slot."""
    count = np.diff(scans.offsets)
    heads = np.empty(len(scans), _SCAN_HEAD_TYPE)
    heads["device"], heads["time"], heads["received"] = scans.device, scans.time, scans.received
    heads["first"], heads["count"], heads["how"] = scans.first, count, scans.how
    heads["qualified"] = scans.quality is not None
    slot.heads += heads.tobytes()
    slot.values += scans.value.tobytes()
    if scans.quality is not None:
        slot.qualities += scans.quality.tobytes()


def encode_slot(slot: Slot, generation: int) -> bytes:
    """Return the slot's bytes in a journal file of this generation."""
    notes = b""
    if slot.events or slot.texts or slot.notices:
        notes = _encode_notes(_Notes(slot.events, slot.texts, slot.notices))
    sizes = (len(slot.heads), len(slot.values), len(slot.qualities), len(notes))
    head = _HEAD.pack(MAGIC, 0, generation, slot.number, slot.since, slot.watermark, *sizes)
    rest = b"".join((head[_CHECKED:], slot.heads, slot.values, slot.qualities, notes))
    return _CHECK.pack(MAGIC, zlib.crc32(rest)) + rest


def decode_slots(data: bytes) -> tuple[int, list[Slot]]:
    """Return a journal file's generation and the slots that follow one another from its beginning.

    What lies behind the last slot of the file's newest turn (older slots, a torn end, damage) is not read. An
    empty or damaged file has generation 0.
    """
    found: list[Slot] = []
    generation, offset = 0, 0
    view = memoryview(data)
    while offset + _HEAD.size <= len(data):
        magic, check, turn, number, since, watermark, *sizes = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + sum(sizes)
        if magic != MAGIC or sum(sizes) > _MOST_BYTES or end > len(data):
            break
        if zlib.crc32(view[offset + _CHECKED : end]) != check or (found and turn != generation):
            break
        if found and number <= found[-1].number:
            break
        generation = turn
        parts: list[bytes] = []
        at = offset + _HEAD.size
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        notes = _decode_notes(parts[3]) if parts[3] else _Notes([], [], [])
        found.append(
            Slot(
                number,
                since,
                watermark,
                bytearray(parts[0]),
                bytearray(parts[1]),
                bytearray(parts[2]),
                notes.events,
                notes.texts,
                notes.notices,
            )
        )
        offset = end
    return generation, found
