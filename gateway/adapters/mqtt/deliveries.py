"""What a broker delivered and we have not acknowledged: in order, grouped by the slot that holds it. Pure."""

from collections import deque
from collections.abc import Iterator

_ACKNOWLEDGEMENTS = {1: b"\x40\x02", 2: b"\x70\x02"}
"""QoS → PUBACK or PUBCOMP before the identifier; without more, MQTT 5 reads them as success (3.4.2.1)."""


class _Group:
    """Messages that followed one another into one slot."""

    __slots__ = ("digests", "numbers", "packets", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.packets = bytearray()
        self.numbers: list[int] = []
        self.digests: list[tuple[bytes, int]] = []


class Deliveries:
    """The messages of one connection that wait for their acknowledgement."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()
        self._last: _Group | None = None
        self._numbers: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def add(self, slot: int, number: int, qos: int, digest: bytes) -> None:
        """Note a message: its slot, packet identifier and receipt."""
        group = self._last
        if group is None or group.slot != slot:
            group = self._last = _Group(slot)
            self._groups.append(group)
        group.packets += _ACKNOWLEDGEMENTS[qos] + number.to_bytes(2, "big")
        group.numbers.append(number)
        group.digests.append((digest, slot))
        self._numbers.add(number)

    def take(self, through: int) -> tuple[bytearray, list[tuple[bytes, int]]]:
        """Return the packets that acknowledge what slots up to `through` hold, up to the first that is not."""
        packets = bytearray()
        digests: list[tuple[bytes, int]] = []
        while self._groups and self._groups[0].slot <= through:
            group = self._groups.popleft()
            packets += group.packets
            digests += group.digests
            self._numbers.difference_update(group.numbers)
        if not self._groups:
            self._last = None
        return packets, digests

    def digests(self) -> Iterator[bytes]:
        """Give the receipts of all that waits."""
        return (digest for group in self._groups for digest, _ in group.digests)

    def clear(self) -> None:
        """Forget all: the connection is gone."""
        self._groups.clear()
        self._numbers.clear()
        self._last = None
