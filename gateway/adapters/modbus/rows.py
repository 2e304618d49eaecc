"""The answers of many devices with one layout at once: each is a row of registers, of which numpy makes rows of values.

Pure. Where the bytes of a value lie is told by which registers it takes, in which order, and by the order of bytes
within its type: "CDAB" is ABCD with its registers reversed, "BADC" is little-endian with them reversed. Only a row of
which every value is plainly Good is decoded here. In doubt it is called odd, and left to `decode.py`, whose values
these are, bit for bit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.adapters.modbus.layout import FORMATS, Cell
from muster.scans import NULL

_EXACT = 2**53
_Index = slice | NDArray[np.intp]


class _Part(NamedTuple):
    """The values of one type and order of bytes.

    registers: where they lie in a row; at: where they go in the scan. bits: which bit of it each value is; truth:
    whether any value but 0 is 1. sentinels: what says of some columns that there is no value.
    """

    dtype: np.dtype[np.generic]
    registers: _Index
    at: _Index
    bits: NDArray[np.uint16] | None
    truth: bool
    doubtful: bool
    sentinels: tuple[list[int], NDArray[np.generic]] | None

    def take(self, rows: NDArray[np.uint16], value: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """Put what lies in `rows`, (n, registers), into `value`, (n, length); return which rows are odd, if any."""
        at = self.registers
        raw = (rows[:, at] if isinstance(at, slice) else rows.take(at, axis=1)).view(self.dtype)
        if self.bits is not None:
            value[:, self.at] = (raw >> self.bits) & 1
        elif self.truth:
            value[:, self.at] = raw != 0
        else:
            value[:, self.at] = raw
        odd: NDArray[np.bool_] | None = None
        if self.doubtful:
            clean = np.isfinite(raw) if self.dtype.kind == "f" else np.abs(raw.astype(np.float64)) < _EXACT
            if not clean.all():
                odd = np.logical_not(clean.all(axis=1))
        if self.sentinels is not None:
            columns, words = self.sentinels
            absent = np.asarray((raw[:, columns] == words).any(axis=1))
            odd = absent if odd is None else odd | absent
        return odd


class Rows:
    """Decodes many answers of one layout. Each is one block of registers, all of its tags numbers."""

    def __init__(
        self,
        cells: Sequence[Cell],
        begins: Sequence[int],
        length: int,
        scale: NDArray[np.float64] | None,
        offset: NDArray[np.float64] | None,
        holes: NDArray[np.intp] | None,
    ) -> None:
        """begins: the byte at which each cell's value begins; length: of the scan; scale, offset: (length,)."""
        self._length = length
        self._scale, self._offset, self._holes = scale, offset, holes
        kinds: dict[tuple[str, bool, bool], list[tuple[Cell, int]]] = {}
        for cell, begin in zip(cells, begins, strict=True):
            address, kind = cell.place.address, cell.place.tag.type
            order = "<" if address.byte_order == "little" else ">"
            truth = kind == "bool" and address.bit is None
            key = (order + FORMATS[kind], address.bit is not None, truth)
            kinds.setdefault(key, []).append((cell, begin))
        self._parts = [_part(*key, found) for key, found in kinds.items()]
        self._real = any(part.dtype.kind == "f" for part in self._parts)

    def decode(self, answers: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """Return the values of n answers of equal length, (n, length), and which of the rows are odd, (n,), if any."""
        rows = np.frombuffer(b"".join(answers), np.uint16).reshape(len(answers), -1)
        if self._real:
            with np.errstate(all="ignore"):  # what is no number may be among them
                return self._decode(rows)
        return self._decode(rows)

    def _decode(self, rows: NDArray[np.uint16]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        value = np.empty((len(rows), self._length))
        odd: NDArray[np.bool_] | None = None
        for part in self._parts:
            doubt = part.take(rows, value)
            if doubt is not None:
                odd = doubt if odd is None else odd | doubt
        if self._scale is not None:
            np.multiply(value, self._scale, out=value)
        if self._offset is not None:
            np.add(value, self._offset, out=value)
        if self._holes is not None:
            value[:, self._holes] = NULL
        return value, odd if odd is not None and odd.any() else None


def _part(form: str, bitwise: bool, truth: bool, found: list[tuple[Cell, int]]) -> _Part:
    dtype = np.dtype(form)
    width = dtype.itemsize // 2
    registers: list[int] = []
    for cell, begin in found:
        address = cell.place.address
        taken = range(begin // 2, begin // 2 + width)
        registers += reversed(taken) if address.word_order != address.byte_order else taken
    absent = [(column, cell.sentinel) for column, (cell, _) in enumerate(found) if cell.sentinel is not None]
    return _Part(
        dtype,
        _index(registers),
        _index([cell.at for cell, _ in found]),
        np.array([cell.place.address.bit for cell, _ in found], np.uint16) if bitwise else None,
        truth,
        dtype.kind == "f" or dtype.itemsize == 8,
        ([column for column, _ in absent], np.array([word for _, word in absent], dtype)) if absent else None,
    )


def _index(places: list[int]) -> _Index:
    """Return a slice where the places follow one another, for nothing need be gathered then."""
    if places == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return np.array(places, np.intp)
