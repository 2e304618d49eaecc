"""Which documents this process works on: all of them, or, where several processes share devices, those it holds.

A pinned device is always this process's. Every other is its own while its lease holds and the document was written for
this very lease. `closed` is asked before each poll, write and scan, because a process that was paused wakes up in the
midst of its work.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from muster.clock import Clock
from muster.events import Event

Apply = Callable[[dict[int, bytes]], Awaitable[None]]


class Holds(Protocol):
    """What is asked of a lease."""

    @property
    def term(self) -> int | None:
        """The term of the lease, None without one."""
        ...

    @property
    def valid(self) -> bool:
        """Whether it holds now."""
        ...


class _Held(msgspec.Struct, frozen=True):
    """The part of a document that says who holds the device."""

    version: int = 0
    term: int | None = None
    free_since: int | None = None


_decode = msgspec.json.Decoder(_Held).decode


class Share:
    """The documents of one process, and those of them that it works on now."""

    def __init__(self, lease: Holds | None, apply: Apply, say: Callable[[Event], None], clock: Clock) -> None:
        """lease: None when this gateway is one process. say: where gaps go."""
        self._lease = lease
        self._apply = apply
        self._say = say
        self._clock = clock
        self._documents: dict[int, bytes] = {}
        self._held: dict[int, _Held] = {}
        self._working: frozenset[int] = frozenset()
        self._leased = False
        self._released: dict[int, int] = {}
        self._begun: dict[int, int | None] = {}
        self._paused: dict[int, tuple[int, int]] = {}
        self._turn = asyncio.Lock()

    def closed(self) -> bool:
        """Whether nothing may be asked of equipment now: work goes on under a lease that no longer holds."""
        return self._leased and not (self._lease is not None and self._lease.valid)

    def released(self) -> Iterable[int]:
        """Return the devices that were let go and whose documents are still here."""
        return [number for number in self._released if number in self._documents]

    async def take(self, documents: dict[int, bytes]) -> None:
        """Work on these documents from now on, as far as they are this process's."""
        async with self._turn:
            same = self._documents
            self._held = {
                number: self._held[number]
                if same.get(number) == text and number in self._held
                else _read(text)
                for number, text in documents.items()
            }
            self._documents = documents
            self._released = {
                number: version
                for number, version in self._released.items()
                if number in documents and self._held[number].version <= version
            }
            await self._work()

    async def look(self) -> None:
        """Take note that the lease was obtained, lost or prolonged."""
        async with self._turn:
            await self._work()

    async def release(self, numbers: Iterable[int]) -> None:
        """Stop working on these devices for another's sake; they come back with a newer document only."""
        async with self._turn:
            for number in numbers:
                if number in self._held:
                    self._released[number] = self._held[number].version
            await self._work()

    async def _work(self) -> None:
        wanted = {number: text for number, text in self._documents.items() if self._mine(number)}
        before, self._working = self._working, frozenset(wanted)
        leased = any(self._held[number].term for number in wanted)
        self._leased = self._leased or leased  # closed at least for as long as any of them is worked on
        now_us = self._clock.now_us()
        for number in before - wanted.keys():
            held = self._held.get(number)
            if held is not None and held.term and number not in self._released:
                self._paused[number] = (held.term, now_us)
        await self._apply(wanted)
        self._leased = leased
        for number in wanted.keys() - before:
            self._say_gap(number)
        for number in wanted.keys() & before:
            if self._held[number].term != self._begun[number]:
                self._say_gap(number)
        self._begun = {number: self._held[number].term for number in wanted}
        self._paused = {
            n: paused for n, paused in self._paused.items() if n in self._documents and n not in wanted
        }

    def _mine(self, number: int) -> bool:
        held = self._held[number]
        if self._lease is None or held.term is None:
            return self._lease is None and held.term is None
        if number in self._released:
            return False
        return held.term == 0 or (self._lease.valid and held.term == self._lease.term)

    def _say_gap(self, number: int) -> None:
        """Say since when nobody watched a device that this process begins to watch."""
        held, now_us = self._held[number], self._clock.now_us()
        paused = self._paused.get(number)
        if paused is not None and paused[0] == held.term:
            self._say(Event("gap", number, min(paused[1], now_us), now_us, "lease-lost"))
        elif held.free_since is not None:
            self._say(Event("gap", number, min(held.free_since, now_us), now_us, "handed-over"))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many devices this process was given, and on how many it works."""
        return {"given": len(self._documents), "working": len(self._working)}


def _read(document: bytes) -> _Held:
    try:
        return _decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Held()  # the supervisor says what is wrong with it
