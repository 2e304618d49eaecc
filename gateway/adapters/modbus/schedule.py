"""When each device is polled: in 50 ms slots spread over its interval, without drift.

Pure. A device's phase within its interval follows from its number (its multiple of the golden ratio, which spreads
any run of numbers evenly), so it is the same after every restart and never many are due at one instant. The n-th
poll is due at phase + n × interval, computed anew each time, so that nothing adds up.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.adapters.modbus.config import SLOT_S

GOLDEN = (math.sqrt(5) - 1) / 2
FIRST_WITHIN_S = 5.0
"""A device with a longer interval is polled once more in its first seconds, and not only at its phase."""
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    """One scheduled item; all times in slots."""

    item: T
    every: float
    phase: float
    count: int
    removed: bool = False
    extra: bool = False


class Schedule(Generic[T]):
    """Items and the slots in which they are due; slot n begins n × SLOT_S seconds after the start."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry[T]] = {}
        self._slots: dict[int, list[_Entry[T]]] = {}
        self._extra: dict[int, list[_Entry[T]]] = {}
        self._next = 0

    def add(self, number: int, item: T, interval_s: float) -> None:
        """Schedule `item` under its device's number from the next slots on."""
        every = interval_s / SLOT_S
        share = number * GOLDEN % 1.0
        phase = share * every
        entry = _Entry(item, every, phase, max(0, math.ceil((self._next - phase) / every)))
        self._entries[number] = entry
        self._put(entry)
        if interval_s > FIRST_WITHIN_S:
            self.again(number, share * FIRST_WITHIN_S)

    def remove(self, number: int) -> None:
        """Schedule it no more."""
        entry = self._entries.pop(number, None)
        if entry is not None:
            entry.removed = True
            self._slots[self._slot_of(entry)].remove(entry)

    def again(self, number: int, in_s: float) -> None:
        """Let it be due once beside its schedule, unless it is anyway before."""
        entry = self._entries.get(number)
        slot = self._next + max(1, int(in_s / SLOT_S))
        if entry is not None and not entry.extra and slot < self._slot_of(entry):
            entry.extra = True
            self._extra.setdefault(slot, []).append(entry)

    def due(self, slot: int) -> list[tuple[T, int]]:
        """Return what is due up to and in `slot`, each once, with how many of its polls came too late to run.

        -1 for one that is due beside its schedule. A loop that was held up does not poll twice for one device: what
        it missed is counted instead.
        """
        found: list[tuple[T, int]] = []
        for at in range(self._next, slot + 1):
            for entry in self._slots.pop(at, ()):
                if entry.removed:
                    continue
                entry.count += 1
                missed = 0
                next_slot = self._slot_of(entry)
                if next_slot <= slot:
                    missed = math.ceil((slot + 1 - entry.phase) / entry.every) - entry.count
                    entry.count += missed
                    next_slot = self._slot_of(entry)
                self._slots.setdefault(next_slot, []).append(entry)
                found.append((entry.item, missed))
            for entry in self._extra.pop(at, ()):
                entry.extra = False
                if not entry.removed:
                    found.append((entry.item, -1))
        self._next = max(self._next, slot + 1)
        return found

    def _slot_of(self, entry: _Entry[T]) -> int:
        return int(entry.phase + entry.count * entry.every)

    def _put(self, entry: _Entry[T]) -> None:
        self._slots.setdefault(self._slot_of(entry), []).append(entry)
