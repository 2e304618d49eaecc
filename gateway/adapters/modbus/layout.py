"""Where each value stands in a poll's answers, compiled into as few `struct` formats as the byte orders need.

Pure. Values of one byte order that do not overlap are unpacked by one format, whose padding passes over what no tag
wants. With the image's bytes swapped in pairs, big-endian reads the order "BADC" and little-endian "CDAB", so there is
a format for every order.
"""

import array
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.adapters.modbus.blocks import Block
from gateway.adapters.modbus.config import BIT_TABLES, Place

FORMATS = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bcd16": "H",
    "bcd32": "I",
    "bool": "H",
    "bit": "H",
}


@dataclass(slots=True)
class _Pass:
    """Values of one byte order, ascending in the image and not overlapping."""

    swapped: bool
    order: str
    end: int = 0
    form: str = ""
    count: int = 0

    def add(self, at: int, code: str) -> int:
        """Take the value at byte `at`; return its index in what this pass unpacks."""
        self.form += f"{at - self.end}x{code}" if at > self.end else code
        self.end = at + struct.calcsize(">" + code)
        self.count += 1
        return self.count - 1


@dataclass(slots=True)
class Cell:
    """One tag's place in the scan: `at` from the lowest position on, `raw` its index in the unpacked values.

    A string's `raw` is the byte of the image where it begins.
    """

    place: Place
    block: int
    at: int
    raw: int = -1
    sentinel: float | int | None = None


@dataclass(slots=True)
class _Layout:
    """Where everything stands in the image, as it is laid out."""

    passes: list[_Pass] = field(default_factory=list)
    found: list[tuple[int, int]] = field(default_factory=list)  # (pass, index in it) of each unpacked value
    shared: dict[tuple[int, bool, str], int] = field(default_factory=dict)

    def take(self, at: int, swapped: bool, order: str, code: str) -> int:
        """Return the index of the value at byte `at`; bits of one register share it."""
        key = (at, swapped, order + code)
        if key not in self.shared:
            fitting = (
                number
                for number, one in enumerate(self.passes)
                if (one.swapped, one.order) == (swapped, order) and one.end <= at
            )
            number = next(fitting, len(self.passes))
            if number == len(self.passes):
                self.passes.append(_Pass(swapped, order))
            one = self.passes[number]
            self.found.append((number, one.add(at, code)))
            self.shared[key] = len(self.found) - 1
        return self.shared[key]


def compile_cells(
    cells: Sequence[Cell], begins: Sequence[int]
) -> Callable[[bytes | bytearray], tuple[Any, ...]]:
    """Give every cell its raw index and sentinel, and return what unpacks an image into raw values.

    begins: where in the image each cell's value begins.
    """
    layout = _Layout()
    for at, cell in sorted(zip(begins, cells, strict=True), key=lambda entry: entry[0]):
        address = cell.place.address
        if address.table in BIT_TABLES:
            cell.raw = layout.take(at, False, ">", "B")
            continue
        code = FORMATS[cell.place.tag.type]
        swapped = cell.place.width > 1 and address.byte_order != address.word_order
        order = "<" if (address.word_order if swapped else address.byte_order) == "little" else ">"
        cell.raw = layout.take(at, swapped, order, code)
        if address.absent is not None:
            (cell.sentinel,) = struct.unpack(">" + code, address.absent.to_bytes(2 * cell.place.width, "big"))
    starts = [0]
    for one in layout.passes:
        starts.append(starts[-1] + one.count)
    for cell in cells:
        number, index = layout.found[cell.raw]
        cell.raw = starts[number] + index
    return _unpacker(layout.passes)


def byte_of(cell: Cell, blocks: Sequence[Block], spans: Sequence[tuple[int, int]]) -> int:
    """Return where in the image the value begins."""
    ahead = cell.place.start - blocks[cell.block].start
    return spans[cell.block][0] + (ahead // 8 if cell.place.address.table in BIT_TABLES else 2 * ahead)


def _unpacker(passes: Sequence[_Pass]) -> Callable[[bytes | bytearray], tuple[Any, ...]]:
    forms = [(one.swapped, struct.Struct(one.order + one.form)) for one in passes]
    if len(forms) == 1 and not forms[0][0]:
        return forms[0][1].unpack_from

    some_swapped = any(swapped for swapped, _ in forms)

    def unpack_all(image: bytes | bytearray) -> tuple[Any, ...]:
        paired = swap(image) if some_swapped else b""
        raw: tuple[Any, ...] = ()
        for swapped, form in forms:
            raw += form.unpack_from(paired if swapped else image)
        return raw

    return unpack_all


def swap(registers: bytes | bytearray) -> bytes:
    """Swap the bytes of each register."""
    words = array.array("H", registers)
    words.byteswap()
    return words.tobytes()
