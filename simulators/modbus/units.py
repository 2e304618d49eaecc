"""What a Modbus unit holds: registers and bits in one image for a whole fleet, and a unit's span of it.

The image has two planes of registers (holding, input) and two of bits (coils, discrete inputs). A unit, and a
window within a unit, is the same span of all four, so physics can write a whole kind of machine with one
numpy assignment and an answer is one slice of bytes.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Table(IntEnum):
    """The four tables of the Modbus data model (Application Protocol V1.1b3, clause 4.3)."""

    HOLDING = 0
    INPUT = 1
    COIL = 2
    DISCRETE = 3


class Refusal(Exception):
    """A unit answers with this exception code (Application Protocol, clause 7)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4
TARGET_DID_NOT_RESPOND = 11


class Unit(Protocol):
    """What the protocol asks of a unit. Every method raises `Refusal`."""

    @property
    def identity(self) -> Mapping[int, bytes]:
        """The objects of the device identification, by object number."""
        ...

    def registers(self, table: Table, start: int, count: int) -> bytes | memoryview:
        """Return `count` registers of a table, big-endian."""
        ...

    def bits(self, table: Table, start: int, count: int) -> NDArray[np.uint8]:
        """Return (count,) uint8 of 0 and 1."""
        ...

    def write_registers(self, start: int, content: bytes) -> None:
        """Set holding registers, big-endian."""
        ...

    def write_bits(self, start: int, values: NDArray[np.uint8]) -> None:
        """Set coils from (n,) uint8 of 0 and 1."""
        ...


class Image:
    """Registers and bits of many units, (2, size) each: holding over input, coils over discrete inputs."""

    def __init__(self, size: int) -> None:
        self.words = np.zeros((2, size), ">u2")
        self.bits = np.zeros((2, size), np.uint8)
        self.writable_words = np.zeros(size, np.bool_)
        self.writable_bits = np.zeros(size, np.bool_)
        self.planes = tuple(memoryview(plane.view(np.uint8)) for plane in self.words)  # type: ignore[arg-type]


class ImageUnit:
    """A unit that owns `span` registers and bits of an image from `base` on; its addresses begin at 0."""

    def __init__(self, image: Image, base: int, span: int, identity: Mapping[int, bytes]) -> None:
        self._image = image
        self._base = base
        self._span = span
        self.identity = identity

    def registers(self, table: Table, start: int, count: int) -> memoryview:
        if start + count > self._span:
            raise Refusal(ILLEGAL_ADDRESS)
        first = 2 * (self._base + start)
        return self._image.planes[table][first : first + 2 * count]

    def bits(self, table: Table, start: int, count: int) -> NDArray[np.uint8]:
        return self._image.bits[table - Table.COIL, self._inside(start, count)]

    def write_registers(self, start: int, content: bytes) -> None:
        place = self._inside(start, len(content) // 2)
        if not self._image.writable_words[place].all():
            raise Refusal(ILLEGAL_ADDRESS)
        self._image.words[Table.HOLDING, place] = np.frombuffer(content, ">u2")

    def write_bits(self, start: int, values: NDArray[np.uint8]) -> None:
        place = self._inside(start, len(values))
        if not self._image.writable_bits[place].all():
            raise Refusal(ILLEGAL_ADDRESS)
        self._image.bits[0, place] = values

    def _inside(self, start: int, count: int) -> slice:
        if start + count > self._span:
            raise Refusal(ILLEGAL_ADDRESS)
        return slice(self._base + start, self._base + start + count)
