"""When each device is polled: in 50 ms slots spread over its interval, without drift.

Pure. A device's phase within its interval follows from its number (its multiple of the golden ratio, which spreads
any run of numbers evenly), so it is the same after every restart and never many are due at one instant. The n-th
poll is due at phase + n × interval, computed anew each time, so that nothing adds up. Devices whose polls fall into
the same slots for ever, for their interval is a whole number of slots, are moved on together, as one cohort.
"""

import math
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.adapters.modbus.config import SLOT_S

GOLDEN = (math.sqrt(5) - 1) / 2
FIRST_WITHIN_S = 5.0
"""A device with a longer interval is polled once more in its first seconds, and not only at its phase."""
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Cohort(Generic[T]):
    """What is due in the same slots; all times in slots. count: which poll is the next one; slot: when it is due."""

    every: float
    phase: float
    count: int
    slot: int
    items: list[T] = field(default_factory=list)

    def move_on(self, slot: int) -> int:
        """Go on to the next poll behind `slot`; return how many between this one and that come too late."""
        self.count += 1
        self.slot = int(self.phase + self.count * self.every)
        if self.slot > slot:
            return 0
        missed = math.ceil((slot + 1 - self.phase) / self.every) - self.count
        self.count += missed
        self.slot = int(self.phase + self.count * self.every)
        return missed


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    """One scheduled item."""

    item: T
    cohort: _Cohort[T]
    removed: bool = False
    extra: bool = False


class Schedule(Generic[T]):
    """Items and the slots in which they are due; slot n begins n × SLOT_S seconds after the start."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry[T]] = {}
        self._shared: dict[tuple[float, float], _Cohort[T]] = {}
        self._slots: dict[int, list[_Cohort[T]]] = {}
        self._extra: dict[int, list[_Entry[T]]] = {}
        self._next = 0

    def add(self, number: int, item: T, interval_s: float) -> None:
        """Schedule `item` under its device's number from the next slots on."""
        every = interval_s / SLOT_S
        share = number * GOLDEN % 1.0
        cohort = self._cohort(every, share * every)
        cohort.items.append(item)
        self._entries[number] = _Entry(item, cohort)
        if interval_s > FIRST_WITHIN_S:
            self.again(number, share * FIRST_WITHIN_S)

    def remove(self, number: int) -> None:
        """Schedule it no more."""
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        entry.removed = True
        cohort = entry.cohort
        cohort.items.remove(entry.item)
        if not cohort.items:
            self._slots[cohort.slot].remove(cohort)
            self._shared.pop((cohort.every, cohort.phase), None)

    def again(self, number: int, in_s: float) -> None:
        """Let it be due once beside its schedule, unless it is anyway before."""
        entry = self._entries.get(number)
        slot = self._next + max(1, int(in_s / SLOT_S))
        if entry is not None and not entry.extra and slot < entry.cohort.slot:
            entry.extra = True
            self._extra.setdefault(slot, []).append(entry)

    def due(self, slot: int) -> list[tuple[T, int]]:
        """Return what is due up to and in `slot`, each once, with how many of its polls came too late to run.

        -1 for one that is due beside its schedule. A loop that was held up does not poll twice for one device: what
        it missed is counted instead.
        """
        found: list[tuple[T, int]] = []
        for at in range(self._next, slot + 1):
            for cohort in self._slots.pop(at, ()):
                missed = cohort.move_on(slot)
                self._slots.setdefault(cohort.slot, []).append(cohort)
                found += [(item, missed) for item in cohort.items]
            for entry in self._extra.pop(at, ()):
                entry.extra = False
                if not entry.removed:
                    found.append((entry.item, -1))
        self._next = max(self._next, slot + 1)
        return found

    def _cohort(self, every: float, phase: float) -> _Cohort[T]:
        """Return what is due together with a new item."""
        whole = every.is_integer()
        if whole:
            phase = float(int(phase))  # whatever lies within a slot is in it after each interval
            if (every, phase) in self._shared:
                return self._shared[every, phase]
        count = max(0, math.ceil((self._next - phase) / every))
        cohort = _Cohort[T](every, phase, count, int(phase + count * every))
        self._slots.setdefault(cohort.slot, []).append(cohort)
        if whole:
            self._shared[every, phase] = cohort
        return cohort
