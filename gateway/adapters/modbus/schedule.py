"""When each device is polled: in 50 ms slots spread over its interval, without drift.

Pure. A device keeps its phase for as long as it is scheduled, so polls stay evenly spaced; a new device takes the
phase with the fewest others of its interval, so that never many are due at one instant.
"""

from collections import Counter
from collections.abc import Iterator

from gateway.adapters.modbus.config import SLOT_S


class Schedule:
    """Devices by number and the slots in which they are due; slot n begins n × SLOT_S seconds after the start."""

    def __init__(self) -> None:
        self._every: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._phase: dict[int, tuple[int, int]] = {}
        self._load: Counter[tuple[int, int]] = Counter()
        self._slots: dict[int, list[int]] = {}
        self._next = 0

    def add(self, device: int, interval_s: float) -> None:
        """Schedule a device from the next slots on."""
        every = max(1.0, interval_s / SLOT_S)
        slots = max(1, int(every))
        candidates = range(self._next, self._next + slots)
        slot = min(candidates, key=lambda at: (self._load[slots, at % slots], at))
        self._every[device] = every
        self._phase[device] = (slots, slot % slots)
        self._load[self._phase[device]] += 1
        self._put(device, float(slot))

    def remove(self, device: int) -> None:
        """Schedule a device no more."""
        if device in self._every:
            self._load[self._phase.pop(device)] -= 1
            del self._every[device], self._due[device]

    def due(self, slot: int) -> Iterator[tuple[int, int]]:
        """Give the devices due up to and in `slot`, each once, with how many of its polls came too late to run.

        A loop that was held up does not poll twice for one device: what it missed is counted instead.
        """
        for at in range(self._next, slot + 1):
            for device in self._slots.pop(at, ()):
                due = self._due.get(device)
                if due is None or int(due) != at:
                    continue
                missed = max(0, int((slot - due) / self._every[device]))
                self._put(device, due + (missed + 1) * self._every[device])
                yield device, missed
        self._next = max(self._next, slot + 1)

    def _put(self, device: int, due: float) -> None:
        self._due[device] = due
        self._slots.setdefault(int(due), []).append(device)
