"""What every room behind a broker is: one session for equal settings, the devices heard through it, and a short ear."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

from gateway.adapter import Diagnostics, Sink, Value, WithoutCertificates, Workplace
from gateway.adapters.mqtt.awaiting import Watchers, next_values
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings, Message
from gateway.roster import Roster, Station
from muster.clock import Clock
from muster.device import Device
from muster.errors import Unavailable

_LONGEST_READ_S = 25.0


class Speaker(Station, Protocol):
    """A watched device that cannot be asked."""

    watchers: Watchers


class Hub(Protocol):
    """One broker's session with the devices heard through it."""

    session: BrokerSession

    @property
    def empty(self) -> bool:
        """Whether no device is left."""
        ...

    def remove(self, number: int) -> None:
        """Hear a device no more."""
        ...

    def stop(self) -> None:
        """List what is still open."""
        ...


def may_have_been_held(device: Device) -> bool:
    """Tell whether another process may have heard the device since this one did: what a broker kept is not wanted."""
    return bool(device.term)


H = TypeVar("H", bound=Hub)
S = TypeVar("S", bound=Speaker)


class BrokerRoom(WithoutCertificates, ABC, Generic[H, S]):
    """Hears devices through any number of brokers."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        self._sink, self._clock, self._workplace = sink, clock, workplace
        self._roster: Roster[H, S] = Roster(sink, clock)
        self._hubs: dict[Hashable, tuple[H, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    @abstractmethod
    def _add(self, device: Device) -> tuple[H, S]:
        """Hear a device from now on. Raises ConfigError."""

    async def run(self) -> None:
        """Work until cancelled; leaves no session open."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ready.set()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            for hub, _ in self._hubs.values():
                hub.stop()

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly these devices; those whose document is unchanged are not disturbed."""
        await self._ready.wait()
        await self._roster.configure(
            devices, self._add, lambda hub, station: hub.remove(station.device.number)
        )
        for key, (hub, task) in list(self._hubs.items()):
            if hub.empty:
                del self._hubs[key]
                hub.stop()
                hub.session.part()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Wait for the device's next live values, for twice its interval: a broker keeps no fresh ones.

        Raises Unavailable when none came.
        """
        hub, station = self._roster.of(device)
        if not hub.session.connected:
            raise Unavailable("the broker is away")
        within_s = min(2 * station.device.interval_s, _LONGEST_READ_S)
        found = await next_values(station.watchers, positions, within_s)
        if not found:
            raise Unavailable(f"the device published none of these tags within {within_s:g} s")
        return found

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        return self._roster.report(device)

    def _hub(self, key: Hashable, make: Callable[[], H]) -> H:
        """Return the hub of `key`, made and set to work when there is none yet."""
        if key not in self._hubs:
            assert self._group is not None
            hub = make()
            task = self._group.create_task(hub.session.run(), name=f"broker {hub.session.settings.text}")
            self._hubs[key] = hub, task
        return self._hubs[key][0]

    async def _listen(
        self,
        settings: BrokerSettings,
        topic: str,
        wait_s: float,
        hear: Callable[[Message], None],
        up: Callable[[BrokerSession], None],
    ) -> str:
        """Hear a topic for a while in a session of its own; return what went wrong, or nothing."""
        failed: list[str] = []
        session = BrokerSession(
            settings,
            self._workplace,
            self._sink,
            self._clock,
            hear,
            lambda: up(session),
            lambda reason, detail: failed.append(f"{reason} {detail}"),
            lasting=False,
        )
        session.on_refused = lambda name, code: failed.append(f"mqtt.subscription-refused {name} {code}")
        session.subscribe({topic: 0})
        task = asyncio.create_task(session.run(), name=f"listen {settings.text}")
        try:
            await asyncio.wait([task], timeout=wait_s)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return failed[0] if failed else ""
