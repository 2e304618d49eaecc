"""What a device was stored with in a minute, as bytes: what its digest is taken over.

Source: `trust.md`, "Canonical bytes of a scan"; where this departs from it, DECISIONS.md says why. All big-endian:

    scan   i64 time µs · i64 received µs · u32 batch sequence, low bits · u16 first position · u16 n · n × f64 value
           · u8 q · if q = 1: n × u16 quality
    text   i64 time µs · i64 received µs · u32 batch sequence, low bits · u16 position · u16 quality · u32 length
           · UTF-8
    end    u32 scans · u32 texts

A missing value is 7ff8000000000001, every other NaN 7ff8000000000000, all else bit for bit; q = 0 when every quality is
Good. First all scans, then all texts, each in the order of their batches and within a batch by time, position, receive
time and bytes. The counts at the end keep two different sets from ever giving the same bytes.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muster.events import TextReading
from muster.scans import NULL_BITS, Scans, sums

NAN_BITS = 0x7FF8000000000000
_HEAD = 25
_TEXT = struct.Struct(">qqIHHI")
_END = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Arranged:
    """Scans in canonical order: `body[offsets[i]:offsets[i + 1]]` are the bytes of `index[i]`.

    body: (b,) uint8. offsets: (n + 1,) int64. index: (n,), the places of the scans before. starts: (k,), where in
    `index` each device's scans begin.
    """

    body: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    index: NDArray[np.intp]
    starts: NDArray[np.intp]


def arranged(scans: Scans, batch: NDArray[np.int64], sequence: NDArray[np.uint32]) -> Arranged:
    """Return the canonical bytes of `scans`, device by device.

    batch: (n,), the place of each scan's batch, never falling. sequence: (n,), the low bits of its sequence.
    """
    index = np.argsort(scans.device, kind="stable")
    is_settled = _rises(scans, batch, index)
    if not is_settled:
        index = np.lexsort((scans.received, scans.first, scans.time, batch, scans.device))
    size = scans.size
    if size and (scans.quality is None or not scans.quality.any()):
        body, offsets = _alike(scans, sequence, index, size)
    else:
        body, offsets = _unlike(scans.take(index), sequence[index])
    if not is_settled:
        _settle_ties(scans, batch, index, body, offsets)
    starts = np.flatnonzero(np.diff(scans.device[index], prepend=-1))
    return Arranged(body, offsets, index, starts)


def text_bytes(text: TextReading, sequence: int) -> bytes:
    """Return the canonical bytes of one text of the batch with this sequence."""
    value = text.value.encode()
    low = sequence & 0xFFFFFFFF
    return _TEXT.pack(text.time, text.received, low, text.position, text.quality, len(value)) + value


def in_order(texts: Iterable[tuple[int, int, TextReading]]) -> list[bytes]:
    """Return the canonical bytes of texts, given each with its batch's place and sequence, in canonical order."""
    keyed = [
        (batch, text.time, text.position, text.received, text_bytes(text, sequence))
        for batch, sequence, text in texts
    ]
    return [item[-1] for item in sorted(keyed)]


def end(scans: int, texts: int) -> bytes:
    """Return what closes the canonical bytes of a device's minute."""
    return _END.pack(scans, texts)


def ends(scans: NDArray[np.integer[Any]], texts: NDArray[np.integer[Any]]) -> list[bytes]:
    """Return what closes the canonical bytes of each of many devices' minutes, given their counts, (n,) each."""
    packed = np.stack([scans, texts], axis=1).astype(">u4").tobytes()
    return [packed[at : at + _END.size] for at in range(0, len(packed), _END.size)]


def _rises(scans: Scans, batch: NDArray[np.int64], index: NDArray[np.intp]) -> bool:
    """Tell whether the order by device leaves the scans of a device and batch in rising time."""
    device, of, time = scans.device[index], batch[index], scans.time[index]
    same = (device[1:] == device[:-1]) & (of[1:] == of[:-1])
    return not bool((same & (time[1:] <= time[:-1])).any())


def _alike(
    scans: Scans, sequence: NDArray[np.uint32], index: NDArray[np.intp], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes at `index` of scans that all hold `size` values, all Good, and their (n + 1,) offsets."""
    rows = _rows(scans, sequence, index, size, judged=False)
    rows["value"] = _bits(scans.value).reshape(-1, size).take(index, 0)
    return rows.view(np.uint8), np.arange(len(index) + 1) * rows.itemsize


def _unlike(scans: Scans, sequence: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of scans in their order, and their (n + 1,) offsets."""
    sizes = np.diff(scans.offsets).astype(np.int64)
    judged = np.zeros(len(sizes), np.bool_)
    if scans.quality is not None:
        judged = sums(scans.quality != 0, scans.offsets) > 0
    offsets = np.concatenate([[0], np.cumsum(_HEAD + sizes * np.where(judged, 10, 8))])
    body = np.empty(int(offsets[-1]), np.uint8)
    bits = _bits(scans.value)
    for kind in np.unique(sizes * 2 + judged):
        size, is_judged = int(kind) // 2, bool(kind & 1)
        group = np.flatnonzero((sizes == size) & (judged == is_judged))
        rows = _rows(scans, sequence, group, size, judged=is_judged)
        where = scans.offsets[group][:, None] + np.arange(size)
        rows["value"] = bits[where]
        if is_judged:
            assert scans.quality is not None
            rows["judged"] = 1
            rows["quality"] = scans.quality[where]
        flat = rows.view(np.uint8).reshape(len(group), -1)
        body[offsets[group][:, None] + np.arange(flat.shape[1])] = flat
    return body, offsets


def _rows(
    scans: Scans,
    sequence: NDArray[np.uint32],
    group: NDArray[np.intp],
    size: int,
    *,
    judged: bool,
) -> NDArray[np.void]:
    """Return rows of `group` without their values."""
    device = scans.device[group]
    rows = np.zeros(len(device), _layout(size, judged))
    rows["time"] = scans.time[group]
    rows["received"] = scans.received[group]
    rows["sequence"] = sequence[group]
    rows["first"] = scans.first[group] if size else 0
    rows["size"] = size
    return rows


def _bits(value: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the values' bits, (m,), with one NaN for all."""
    bits = value.view(np.uint64)
    odd = np.isnan(value)
    return np.where(odd & (bits != NULL_BITS), np.uint64(NAN_BITS), bits) if odd.any() else bits


def _settle_ties(
    scans: Scans,
    batch: NDArray[np.int64],
    index: NDArray[np.intp],
    body: NDArray[np.uint8],
    offsets: NDArray[np.int64],
) -> None:
    """Put scans that only their bytes tell apart into the order of these."""
    keys = (scans.device, batch, scans.time, scans.first, scans.received)
    tied = np.ones(max(len(index) - 1, 0), np.bool_)
    for key in keys:
        if not tied.any():
            return
        tied &= key[index][1:] == key[index][:-1]
    begins = np.flatnonzero(tied & ~np.concatenate([[False], tied[:-1]]))
    for begin in begins.tolist():
        stop = begin + 1
        while stop < len(index) and tied[stop - 1]:
            stop += 1
        pieces = sorted(
            (body[offsets[at] : offsets[at + 1]].tobytes(), int(index[at])) for at in range(begin, stop)
        )
        body[offsets[begin] : offsets[stop]] = np.frombuffer(b"".join(piece for piece, _ in pieces), np.uint8)
        offsets[begin + 1 : stop] = offsets[begin] + np.cumsum([len(piece) for piece, _ in pieces])[:-1]
        index[begin:stop] = [place for _, place in pieces]


@cache
def _layout(size: int, judged: bool) -> np.dtype[np.void]:
    fields: list[tuple[object, ...]] = [
        ("time", ">i8"),
        ("received", ">i8"),
        ("sequence", ">u4"),
        ("first", ">u2"),
        ("size", ">u2"),
        ("value", ">u8", (size,)),
        ("judged", "u1"),
    ]
    if judged:
        fields.append(("quality", ">u2", (size,)))
    return np.dtype(fields)
