"""What a broker delivered and we have not acknowledged: in order, grouped by the slot that holds it. Pure."""

import struct
from collections import deque
from collections.abc import Iterator

Taken = tuple[int, list[bytes]]
"""A slot, and the receipts of messages that it holds."""

_ACKNOWLEDGEMENTS = {1: 0x4002 << 16, 2: 0x7002 << 16}
"""QoS → PUBACK or PUBCOMP above the identifier; without more, MQTT 5 reads them as success (3.4.2.1)."""


class _Group:
    """Messages that followed one another into one slot."""

    __slots__ = ("digests", "numbers", "slot", "words")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.words: list[int] = []
        self.numbers: list[int] = []
        self.digests: list[bytes] = []


class Deliveries:
    """The messages of one connection that wait for their acknowledgement."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()
        self._last: _Group | None = None
        self._numbers: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, slot: int, qos: int, numbers: list[int], digests: list[bytes]) -> None:
        """Note messages of one QoS: their slot, packet identifiers, and receipts where there are any."""
        group = self._last
        if group is None or group.slot != slot:
            group = self._last = _Group(slot)
            self._groups.append(group)
        head = _ACKNOWLEDGEMENTS[qos]
        group.words += [head | number for number in numbers]
        group.numbers += numbers
        group.digests += digests
        self._numbers.update(numbers)

    def take(self, through: int) -> tuple[bytes, list[Taken]]:
        """Return the packets that acknowledge what slots up to `through` hold, up to the first that is not."""
        words: list[int] = []
        taken: list[Taken] = []
        while self._groups and self._groups[0].slot <= through:
            group = self._groups.popleft()
            words += group.words
            taken.append((group.slot, group.digests))
            self._numbers.difference_update(group.numbers)
        if not self._groups:
            self._last = None
        return struct.pack(f">{len(words)}I", *words), taken

    def digests(self) -> Iterator[bytes]:
        """Give the receipts of all that waits."""
        return (digest for group in self._groups for digest in group.digests)

    def clear(self) -> None:
        """Forget all: the connection is gone."""
        self._groups.clear()
        self._numbers.clear()
        self._last = None
