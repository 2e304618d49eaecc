"""When the recorder beats: seldom while nothing happens, and where the process is awake anyway.

What a room puts is cut within one interval, at instants that are multiples of it. A room that expects nothing more
for the moment says so, and the beat is made at once: the process need not be woken for it later, and less is lost
when it is killed meanwhile. An otherwise idle process pays more for waking up than for what it then does.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

LATE_S = 0.05
"""A beat this late comes after the process stood still: what came meanwhile is read first, for the watch goes on until
now."""
IDLE_S = 0.75
"""Without anything to do, the clocks are read this often: less than a jump of the clock that is to be seen
(`watch.JUMP_US`), so that it is known of each stamp on which side of the jump it was made."""
_MOMENT_S = 0.001
"""An event loop reads what waits in its sockets before a timer that is due no sooner."""


class Pulse:
    """Calls `beat`, in the event loop; `beat` returns in how many seconds it wants to be called at the latest."""

    def __init__(self, beat: Callable[[], float], interval_s: float) -> None:
        self._beat = beat
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._began = self._beaten = self._loop.time()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._due = self._began
        self._reads_first = False
        self._timer: asyncio.Handle = self._loop.call_soon(self._wake)

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until `stop` is set. Raises what `beat` raised."""
        stopping = asyncio.create_task(stop.wait(), name="recorder stop")
        ends: list[asyncio.Future[Any]] = [stopping, self._ended]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._timer.cancel()
            self._due = -math.inf  # nothing is earlier: whatever rooms still put while they end makes no beat
        if self._ended.done():
            self._ended.result()

    def stir(self) -> None:
        """Beat at the next multiple of the interval: something was put."""
        slots = int((self._loop.time() - self._began) / self._interval_s) + 1
        self._arm(self._began + slots * self._interval_s)

    def lull(self) -> None:
        """Beat as soon as what runs now has ended, unless the last beat is too near."""
        now = self._loop.time()
        if now - self._beaten >= self._interval_s / 2 and now < self._due:
            self._timer.cancel()
            self._due = now
            self._timer = self._loop.call_soon(self._wake)

    def _arm(self, at: float) -> None:
        if at < self._due:
            self._timer.cancel()
            self._due = at
            self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        now = self._loop.time()
        if now - self._due > LATE_S and not self._reads_first:
            self._reads_first = True
            self._timer = self._loop.call_later(_MOMENT_S, self._wake)
            return
        self._reads_first = False
        self._beaten = now
        self._due = math.inf
        try:
            wait_s = self._beat()
        except BaseException as error:  # noqa: BLE001 - raised by `run`, which is awaited
            self._ended.set_exception(error)
            return
        self._arm(now + min(max(wait_s, 0.0), IDLE_S))
