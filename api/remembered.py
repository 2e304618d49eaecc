"""Answers that take long and change slowly, kept for a while; asked for again by one at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from muster.clock import Clock

T = TypeVar("T")
_MOST = 500


class Remembered(Generic[T]):
    """Keeps what was found for a key for `lasts_s` seconds."""

    def __init__(self, clock: Clock, lasts_s: float) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept for `key`, found now when it is not; of several askers one finds it."""
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                kept = self._kept.get(key)
                if kept is not None and kept[0] > self._clock.monotonic():
                    return kept[1]
                found = await find()
                self._kept[key] = (self._clock.monotonic() + self._lasts_s, found)
                self._kept.move_to_end(key)
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
                return found
        finally:
            if not lock.locked():
                self._asking.pop(key, None)
