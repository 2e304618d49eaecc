"""What stands behind one endpoint of a fleet, whatever it speaks, and the faults it has there."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from simulators.faults import Fault, FaultKind


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is on its endpoint: a span of a unit's addresses; whole: it has the unit for itself."""

    unit: int
    start: int
    length: int
    whole: bool

    def holds(self, about: tuple[int, int] | None) -> bool:
        """Tell whether a request about these addresses, or about none, concerns this place."""
        if self.whole or about is None:
            return self.whole
        return about[0] < self.start + self.length and about[0] + about[1] > self.start


class Equipment(ABC):
    """One endpoint and the machines behind it. kinds: the faults that have a meaning for it."""

    kinds: frozenset[FaultKind]

    def __init__(self, number: int, port: int) -> None:
        self.number = number
        self.port = port
        self.fault: Fault | None = None
        self.requests = 0
        self._place_faults: dict[Place, Fault] = {}

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many connections are open."""

    @property
    @abstractmethod
    def listening(self) -> bool:
        """Whether it is meant to be reached."""

    @abstractmethod
    async def open(self) -> None:
        """Begin. Raises Unavailable when a port is taken."""

    @abstractmethod
    async def close(self) -> None:
        """End, with every connection."""

    @abstractmethod
    async def _suffer(self, fault: Fault | None) -> None:
        """Do at once what a fault of everything here, or its end (None), asks for."""

    async def put_fault(self, fault: Fault | None, place: Place | None = None) -> None:
        """Set or lift (None) a fault of one place or, without a place, of everything here."""
        if place is None:
            self.fault = fault
            await self._suffer(fault)
            return
        self._place_faults.pop(place, None)
        if fault is not None:
            self._place_faults[place] = fault

    def fault_at(self, place: Place) -> Fault | None:
        """Return the fault in force at a place: that of everything here goes before its own."""
        return self.fault or self._place_faults.get(place)
