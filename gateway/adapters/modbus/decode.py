"""From registers to a scan: a decoder compiled once per device, run once per poll.

All answers of one poll are laid into one byte `image`. `decode` gathers its bytes into native order with one numpy
`take`, casts each group of equal types with one copy, scales everything with one multiplication, and lays the values
in the order of the tags' positions with another `take`: a handful of numpy calls whatever the number of tags, and no
Python object per value. Measured for 10 and 50 tags, against `struct.unpack_from` and `np.array` on its tuple: equal
at 10 tags, 3 times cheaper at 50.

float64 arithmetic is exactly `raw * scale + offset`; a tag without scale and offset keeps its bits. NaN means that the
device has no value, infinity that it has none that can be represented. Integers beyond 2^53 and strings leave as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.adapters.modbus.blocks import Block
from gateway.adapters.modbus.config import BIT_TABLES, Place
from muster.quality import Quality
from muster.scans import NULL

EXACT = 2**53
"""The largest magnitude up to which float64 holds every integer."""

_KINDS: dict[str, tuple[str, str]] = {
    # type → group, native dtype of the raw value; groups are laid widest first, so that each is aligned
    "int64": ("i8", "int64"),
    "uint64": ("u8", "uint64"),
    "float64": ("f8", "float64"),
    "int32": ("i4", "int32"),
    "uint32": ("u4", "uint32"),
    "float32": ("f4", "float32"),
    "bcd32": ("bcd4", "uint32"),
    "int16": ("i2", "int16"),
    "uint16": ("u2", "uint16"),
    "bcd16": ("bcd2", "uint16"),
    "bool": ("nonzero", "uint16"),
    "bit": ("bit", "uint8"),
}
_ORDER = ("i8", "u8", "f8", "i4", "u4", "f4", "bcd4", "i2", "u2", "bcd2", "nonzero", "bit")


@dataclass(frozen=True, slots=True)
class Text:
    """One value that leaves as text."""

    position: int
    value: str
    quality: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """One poll's values: `value` (k,) float64 and `quality` (k,) int16 or None, from the lowest position on."""

    value: NDArray[np.float64]
    quality: NDArray[np.int16] | None
    texts: list[Text]


@dataclass(slots=True)
class _Group:
    """Values of one raw type: `raw` and `cells` are views of the gathered bytes and of the stage."""

    kind: str
    begin: int
    raw: NDArray[np.generic]
    cells: NDArray[np.float64]
    unscaled: NDArray[np.bool_]


class Decoder:
    """Decodes the answers to `blocks`. Not shared between devices: `image` and the stage are its own."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.spans: list[tuple[int, int]] = []
        size = 0
        for block in blocks:
            self.spans.append((size, size + block.size))
            size += block.size
        self._bytes = np.zeros(size, np.uint8)
        self.image = memoryview(self._bytes.data)
        """Where the caller lays each block's answer, at its span."""
        located = [
            (place, block, index, span[0])
            for index, (block, span) in enumerate(zip(blocks, self.spans, strict=True))
            for place in block.places
        ]
        positions = [place.tag.position for place, *_ in located]
        self.first = min(positions)
        self._length = max(positions) - self.first + 1
        self._texts = [(p, _bytes_of(p, b, at), i) for p, b, i, at in located if p.tag.type == "string"]
        self._failing: list[list[tuple[int, int | None]]] = [[] for _ in blocks]
        self._build([entry for entry in located if entry[0].tag.type != "string"])
        for place, _, index in self._texts:
            self._failing[index].append((place.tag.position - self.first, None))

    def _build(self, located: list[tuple[Place, Block, int, int]]) -> None:
        """Lay out the gathered bytes, the stage and the order of the values."""
        keyed = sorted(located, key=lambda entry: _ORDER.index(_group_of(entry[0])))
        count = len(keyed)
        self._stage = np.zeros(count + 1)
        self._stage[count] = NULL
        order = np.full(self._length, count, np.intp)
        gather: list[int] = []
        self._groups: list[_Group] = []
        shifts: list[int] = []
        starts: list[tuple[str, int, int]] = []
        absent: list[tuple[int, int]] = []
        for cell, (place, block, index, at) in enumerate(keyed):
            kind = _group_of(place)
            if not starts or starts[-1][0] != kind:
                starts.append((kind, cell, len(gather)))
            if kind == "bit":
                byte, shift = _bit_of(place, block, at)
                gather.append(byte)
                shifts.append(shift)
            else:
                gather.extend(reversed(_bytes_of(place, block, at)))
            order[place.tag.position - self.first] = cell
            self._failing[index].append((place.tag.position - self.first, cell))
            if place.address.absent is not None:
                absent.append((cell, place.address.absent))
        self._order = order
        self._position_of = np.empty(count, np.intp)
        self._position_of[order[order < count]] = np.flatnonzero(order < count)
        self._gather = np.array(gather, np.intp)
        self._gathered = np.zeros(len(gather), np.uint8)
        self._shifts = np.array(shifts, np.uint8)
        ends = [*starts[1:], ("", count, len(gather))]
        for (kind, cell, byte), (_, cell_end, byte_end) in zip(starts, ends, strict=True):
            dtype = "uint8" if kind == "bit" else next(d for k, d in _KINDS.values() if k == kind)
            raw = self._gathered[byte:byte_end].view(dtype)
            unscaled = np.array([p.tag.scale == 1 and p.tag.offset == 0 for p, *_ in keyed[cell:cell_end]])
            self._groups.append(_Group(kind, cell, raw, self._stage[cell:cell_end], unscaled))
        self._scale_by([entry[0] for entry in keyed])
        self._expect_absent(absent)
        self._may_be_unreal = (
            any(g.kind in ("f4", "f8") for g in self._groups) or self._scaled
        )  # scaling can overflow

    def _scale_by(self, places: Sequence[Place]) -> None:
        scale = np.array([place.tag.scale for place in places])
        # adding -0.0 changes no bit of any value, adding 0.0 would turn -0.0 into 0.0
        offset = np.array([place.tag.offset or -0.0 for place in places])
        self._scale = scale if np.any(scale != 1) else None
        self._offset = offset if np.any(offset != 0) else None
        self._scaled = self._scale is not None or self._offset is not None
        self._values = self._stage[: len(places)]

    def _expect_absent(self, absent: list[tuple[int, int]]) -> None:
        self._absent: list[tuple[NDArray[np.unsignedinteger], NDArray[np.intp], NDArray[np.uint64], int]] = []
        for group in self._groups:
            mine = [(c - group.begin, v) for c, v in absent if 0 <= c - group.begin < len(group.cells)]
            if mine:
                raw = group.raw.view(f"uint{8 * group.raw.itemsize}")
                cells = np.array([cell for cell, _ in mine], np.intp)
                sentinels = np.array([value for _, value in mine], np.uint64)
                self._absent.append((raw, cells, sentinels, group.begin))

    def decode(self, failed: Mapping[int, Quality] | None = None) -> Decoded:
        """Decode what lies in `image`; `failed` says of which blocks (by index) nothing came, and why."""
        bad: list[tuple[NDArray[np.intp], Quality]] = []
        texts: list[Text] = []
        large: list[int] = []
        np.take(self._bytes, self._gather, out=self._gathered, mode="clip")
        for group in self._groups:
            if group.kind in _PLAIN:
                np.copyto(group.cells, group.raw, casting="unsafe")
            else:
                self._special(group, bad, large)
        if self._scale is not None:
            np.multiply(self._values, self._scale, out=self._values)
        if self._offset is not None:
            np.add(self._values, self._offset, out=self._values)
        if self._may_be_unreal and not np.isfinite(self._values).all():
            bad.append((np.flatnonzero(np.isnan(self._values)), Quality.NO_VALUE))
            bad.append((np.flatnonzero(np.isinf(self._values)), Quality.OUT_OF_RANGE))
        for raw, cells, sentinels, begin in self._absent:
            hit = raw[cells] == sentinels
            if hit.any():
                bad.append((cells[hit] + begin, Quality.NO_VALUE))
        quality = self._mark(bad, failed) if bad or failed else None
        texts = self._exactly(large, quality) if large else []
        if self._texts:
            texts += self._strings(failed)
        return Decoded(self._stage.take(self._order), quality, texts)

    def _special(self, group: _Group, bad: list[tuple[NDArray[np.intp], Quality]], large: list[int]) -> None:
        """Cast a group whose values need more than a copy."""
        if group.kind == "bit":
            np.copyto(group.cells, (group.raw >> self._shifts) & 1, casting="unsafe")  # type: ignore[operator]
        elif group.kind == "nonzero":
            np.copyto(group.cells, group.raw != 0)
        elif group.kind in ("bcd2", "bcd4"):
            value = np.zeros(len(group.raw))
            wrong = np.zeros(len(group.raw), np.bool_)
            for digit in range(2 * group.raw.itemsize):
                nibble = (group.raw >> (4 * digit)) & 15  # type: ignore[operator]
                value += nibble * 10.0**digit
                wrong |= nibble > 9
            np.copyto(group.cells, value)
            if wrong.any():
                bad.append((np.flatnonzero(wrong) + group.begin, Quality.UNDECODABLE))
        else:
            np.copyto(group.cells, group.raw, casting="unsafe")
            beyond = (np.abs(group.cells) >= EXACT) & group.unscaled
            if beyond.any():
                cells = np.flatnonzero(beyond).tolist()
                large.extend(group.begin + cell for cell in cells if abs(int(group.raw[cell])) > EXACT)

    def _exactly(self, large: list[int], quality: NDArray[np.int16] | None) -> list[Text]:
        """Take the unscaled integers at cells `large` out of the scan, digit by digit."""
        texts = []
        for group in self._groups:
            for cell in large:
                if group.kind in ("i8", "u8") and 0 <= cell - group.begin < len(group.cells):
                    at = int(self._position_of[cell])
                    if quality is None or quality[at] == Quality.GOOD:
                        digits = str(int(group.raw[cell - group.begin]))
                        texts.append(Text(self.first + at, digits, Quality.GOOD))
                        self._values[cell] = NULL
        return texts

    def _mark(
        self, bad: list[tuple[NDArray[np.intp], Quality]], failed: Mapping[int, Quality] | None
    ) -> NDArray[np.int16] | None:
        quality = np.zeros(self._length, np.int16)
        for cells, word in bad:
            self._values[cells] = NULL
            quality[self._position_of[cells]] = word
        for index, word in (failed or {}).items():
            for at, cell in self._failing[index]:
                quality[at] = word
                if cell is not None:
                    self._values[cell] = NULL
        return quality if quality.any() else None

    def _strings(self, failed: Mapping[int, Quality] | None) -> list[Text]:
        texts = []
        for place, at, index in self._texts:
            if failed and index in failed:
                continue
            raw = bytes(self._bytes[at])
            position = place.tag.position
            if place.address.absent is not None and not any(raw):
                texts.append(Text(position, "", Quality.NO_VALUE))
                continue
            try:
                said = raw.split(b"\0", 1)[0].decode(place.address.encoding).strip()
                texts.append(Text(position, said, Quality.GOOD))
            except UnicodeDecodeError:
                texts.append(Text(position, raw.hex(), Quality.UNDECODABLE))
        return texts


_PLAIN = frozenset({"f8", "i4", "u4", "f4", "i2", "u2"})


def _group_of(place: Place) -> str:
    if place.address.table in BIT_TABLES or place.address.bit is not None:
        return "bit"
    return _KINDS[place.tag.type][0]


def _bytes_of(place: Place, block: Block, at: int) -> list[int]:
    """Return where in the image the value's bytes stand, most significant first."""
    begin = at + 2 * (place.start - block.start)
    words = [[begin + 2 * word, begin + 2 * word + 1] for word in range(place.width)]
    if place.address.byte_order == "little":
        words = [word[::-1] for word in words]
    if place.address.word_order == "little":
        words.reverse()
    return [byte for word in words for byte in word]


def _bit_of(place: Place, block: Block, at: int) -> tuple[int, int]:
    """Return where in the image the bit's byte stands, and by how much to shift it."""
    if place.address.table in BIT_TABLES:
        bit = place.start - block.start
        return at + bit // 8, bit % 8
    assert place.address.bit is not None
    high, low = _bytes_of(place, block, at)
    return (high, place.address.bit - 8) if place.address.bit >= 8 else (low, place.address.bit)


def raw_of(place: Place, block: Block, answer: bytes) -> bytes:
    """Return the bytes of `answer` (to `block`) that a value came from, as they were on the wire."""
    if place.address.table in BIT_TABLES:
        byte, shift = _bit_of(place, block, 0)
        return bytes([(answer[byte] >> shift) & 1])
    begin = 2 * (place.start - block.start)
    return answer[begin : begin + 2 * place.width]
