"""A room's roster: the devices that it watches, by number, and those whose documents it cannot use."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from gateway.adapter import Diagnostics, Sink
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, RequestError
from muster.events import Event

_AT_ONCE = 10


class Station(Protocol):
    """A watched device."""

    device: Device

    def report(self) -> Diagnostics:
        """Return its counters."""
        ...


P = TypeVar("P")
S = TypeVar("S", bound=Station)


class Roster(Generic[P, S]):
    """Each device's place (the line, session or broker that it shares with others) and its station."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self.watched: dict[int, tuple[P, S]] = {}
        self._refused: dict[int, Device] = {}
        self._sink = sink
        self._clock = clock

    async def configure(
        self,
        devices: Mapping[int, Device],
        add: Callable[[Device], tuple[P, S]],
        remove: Callable[[P, S], None],
    ) -> None:
        """Watch exactly `devices`; those whose document is unchanged are not disturbed.

        add: raises ConfigError for a document that cannot be used; that is said once, and the others go on.
        """
        for number, (place, station) in list(self.watched.items()):
            if devices.get(number) != station.device:
                del self.watched[number]
                remove(place, station)
        for count, (number, device) in enumerate(devices.items(), 1):
            if number not in self.watched and self._refused.get(number) != device:
                try:
                    self.watched[number] = add(device)
                except ConfigError as error:
                    self._refuse(device, str(error))
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)  # acquisition goes on while hundreds of devices are understood
        self._refused = {n: d for n, d in self._refused.items() if devices.get(n) == d}

    def of(self, device: int) -> tuple[P, S]:
        """Return a device's place and station. Raises RequestError when it is not watched."""
        if device not in self.watched:
            raise RequestError(f"device {device}: not watched here", status=404, code="unknown-device")
        return self.watched[device]

    def report(self, device: int) -> Diagnostics:
        """Return a device's counters. Raises KeyError when it is not watched."""
        return self.watched[device][1].report()

    def _refuse(self, device: Device, problem: str) -> None:
        self._refused[device.number] = device
        detail = {"problem": problem}
        now_us = self._clock.now_us()
        self._sink.event(Event("error", device.number, now_us, reason="configuration-wrong", detail=detail))
