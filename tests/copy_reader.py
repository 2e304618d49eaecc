"""Reads binary COPY rows plainly, for tests: field by field, as the documentation describes them."""

import struct

Array = tuple[int, list[int | None]]
"""An array's lower bound and its elements, those of floating point as their bits."""


class Reader:
    """Reads binary COPY rows as the documentation describes them."""

    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(">" + form, self.body, self.at)
        self.at += struct.calcsize(">" + form)
        return int(value)

    def field(self, form: str) -> int:
        assert self.take("i") == struct.calcsize(">" + form)
        return self.take(form)

    def array(self, element: str, oid: int) -> Array | None:
        length = self.take("i")
        if length == -1:
            return None
        end = self.at + length
        dimensions, flags, kind, size, lower = (self.take("i") for _ in range(5))
        assert (dimensions, kind) == (1, oid)
        items: list[int | None] = []
        for _ in range(size):
            width = self.take("i")
            items.append(None if width == -1 else self.take(element))
        assert self.at == end
        assert flags == (None in items)
        return lower, items
