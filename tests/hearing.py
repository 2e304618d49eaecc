"""A room's sink in the tests: it keeps what the room says, scans in whatever form a test compares."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from muster.events import Event, TextReading
from muster.scans import How

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Seen:
    """One scan as a room gave it."""

    device: int
    time: int
    received: int
    first: int
    value: NDArray[np.float64]
    quality: NDArray[np.int16] | None
    how: How


class Hearing(ABC, Generic[S]):
    """A sink that keeps everything; nothing that it holds is ever called durable."""

    def __init__(self) -> None:
        self.scans: list[S] = []
        self.texts: list[TextReading] = []
        self.events: list[Event] = []
        self.full = False
        self.sealed = 0
        self.lulls = 0

    @abstractmethod
    def keep(self, seen: Seen) -> None:
        """Keep one scan."""

    def scan(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        self.keep(Seen(device, time, received, first, value, quality, how))

    def good(self, device: int, time: int, received: int, first: int, value: bytes, how: How) -> None:
        self.scan(device, time, received, first, np.frombuffer(value), None, how)

    def rows(
        self,
        devices: Sequence[int],
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        how: How,
    ) -> None:
        for device, row in zip(devices, value, strict=True):
            self.scan(device, time, received, first, row, None, how)

    def text(self, reading: TextReading) -> None:
        self.texts.append(reading)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def lull(self) -> None:
        self.lulls += 1

    def mark(self) -> int | None:
        return 1

    def watch_sealed(self, told: Callable[[int], None]) -> Callable[[], None]:
        return lambda: None

    def watch_cut(self, told: Callable[[], bool]) -> Callable[[], None]:
        return lambda: None

    def said(self, kind: str, device: int | None = None) -> list[Event]:
        """Return the events of a kind."""
        return [one for one in self.events if one.kind == kind and device in (None, one.device)]

    def reasons(self, kind: str) -> list[str]:
        """Return the reasons of the events of a kind."""
        return [one.reason for one in self.said(kind)]
