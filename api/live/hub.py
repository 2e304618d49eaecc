"""One poller for any number of viewers. It works while anybody looks, and asks the database once a second.

A viewer that cannot keep up is never queued for: when it is ready again it gets what leads from the last second it
saw to now, or a snapshot when that is too long ago. So a slow viewer costs no memory and never a late picture; one that
takes nothing at all is cut by its connection (`api/connection.py`).
"""

import asyncio
import itertools
import random
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram
from psycopg_pool import PoolTimeout

from api.database import Database, Reading
from api.live.tick import Tick, changes_text, count_text, follow, snapshot_text
from evidence.counting import instant, questions
from evidence.counting.count import SCOPES, Scope
from evidence.counting.timeline import Stretches, Window, window
from muster.clock import Clock, to_us
from muster.errors import Unavailable
from muster.presence import Definition

_log = structlog.get_logger()
_VIEWERS = Gauge("muster_live_viewers", "Viewers of the live stream.")
_TOOK = Histogram("muster_live_tick_seconds", "Time to ask the database for one second of the live stream.")
_PICTURES = Counter(
    "muster_live_pictures_total", "Pictures made for viewers; those who need the same share one."
)
_WINDOW = timedelta(hours=1)
_WINDOW_EVERY_S = 10.0
_PERIOD_S = 1.0
_KEEP_ALIVE_S = 10.0
_KEPT = 30
_MOST_VIEWERS = 1000
_COME_BACK_MS = (1000, 6000)


_STILL_HERE = b": still here\n\n"


def _encoded(name: str, data: str, number: str) -> bytes:
    """Return one server-sent event (HTML Living Standard §9.2.6)."""
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode()


def _welcome() -> bytes:
    """Return what a stream begins with: when to come back should it end, so that not all come back at once."""
    return f"retry: {random.randint(*_COME_BACK_MS)}\n\n".encode()


class Hub:
    """Shares one poller between the viewers of the live stream."""

    def __init__(
        self, database: Database, definition: Definition, families: Mapping[str, str], clock: Clock
    ) -> None:
        self._database = database
        self._definition = definition
        self._families = families
        self._clock = clock
        self._run = secrets.token_hex(4)
        self._ticks: deque[Tick] = deque(maxlen=_KEPT)
        self._next = asyncio.Event()
        self._pictures: dict[tuple[int | None, int], bytes] = {}
        self._numbers = itertools.count()
        self._scopes: dict[int, int | None] = {}
        self._looking = asyncio.Event()
        self._received: dict[int, datetime] = {}
        self._windows: dict[tuple[int | None, Scope], Window] = {}
        self._windows_due = 0.0
        self._closed = False

    def close(self) -> None:
        """End every viewer's stream, so that the server can stop without waiting for them."""
        self._closed = True
        self._next.set()

    async def run(self) -> None:
        """Poll while anybody looks, until cancelled."""
        while True:
            await self._looking.wait()
            begin = self._clock.monotonic()
            try:
                await self._tick()
            except (psycopg.Error, PoolTimeout, Unavailable) as error:
                _log.warning("live-away", error=str(error))
            took = self._clock.monotonic() - begin
            _TOOK.observe(took)
            await asyncio.sleep(max(_PERIOD_S - took, 0.05))
            if not self._scopes:
                self._looking.clear()
                self._ticks.clear()
                self._pictures.clear()
                self._received.clear()

    async def watch(self, scope: int | None, last_event: str | None) -> AsyncGenerator[bytes]:
        """Yield events for a viewer of `scope`, from `last_event` on if that is remembered.

        Raises:
            Unavailable: too many are looking already.
        """
        if len(self._scopes) >= _MOST_VIEWERS:
            raise Unavailable("live: too many viewers")
        me = next(self._numbers)
        self._scopes[me] = scope
        self._looking.set()
        _VIEWERS.inc()
        reached = self._remembered(last_event)
        try:
            yield _welcome()
            while not self._closed:
                if self._ticks and self._ticks[-1].number > reached:
                    picture = self._picture(reached, scope)
                    reached = self._ticks[-1].number
                    yield picture
                    continue
                following = self._next
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        await following.wait()
                except TimeoutError:
                    yield _STILL_HERE
        finally:
            del self._scopes[me]
            _VIEWERS.dec()

    def _remembered(self, last_event: str | None) -> int:
        """Return the number of the tick that a viewer saw last, 0 when that means nothing here."""
        run, _, number = (last_event or "").rpartition("-")
        known = run == self._run and number.isascii() and number.isdigit() and len(number) < 12
        return int(number) if known and self._ticks and int(number) <= self._ticks[-1].number else 0

    def _picture(self, reached: int, scope: int | None) -> bytes:
        """Return the events that lead from tick `reached` to now, made once for all viewers who need the same."""
        newest = self._ticks[-1]
        missed = [tick for tick in self._ticks if tick.number > reached]
        if not reached or missed[0].number != reached + 1:
            reached = 0
        key = (scope, reached)
        if key not in self._pictures:
            _PICTURES.inc()
            name = f"{self._run}-{newest.number}"
            states = changes_text(missed, scope) if reached else snapshot_text(newest, scope)
            count = count_text(newest, scope, self._families, self._definition)
            told = b"" if states is None else _encoded("states", states, name)
            self._pictures[key] = told + _encoded("count", count, name)
        return self._pictures[key]

    async def _tick(self) -> None:
        before = self._ticks[-1] if self._ticks else None
        async with self._database.reading(None) as reading:
            devices = await instant.states(reading.connection, reading.now, reading.now, self._definition)
            owners = await reading.rows("device_enterprises")
            receipts = await reading.rows("recent_receipts" if self._received else "newest_receipts")
            self._received |= {row["device"]: row["received"] for row in receipts}
            enterprise = {row["device"]: row["enterprise"] for row in owners}
            if self._clock.monotonic() >= self._windows_due:
                await self._measure(reading, enterprise)
            tick = follow(before, reading.now, devices, enterprise, self._received, dict(self._windows))
        self._ticks.append(tick)
        self._pictures.clear()
        self._next.set()
        self._next = asyncio.Event()

    async def _measure(self, reading: Reading, enterprise: Mapping[int, int]) -> None:
        """Bring the statistics of the last hour up to date for the scopes that somebody looks at."""
        start = reading.now - _WINDOW
        found = await questions.stretches(
            reading.connection, start, reading.now, reading.now, self._definition
        )
        scopes = set(self._scopes.values())
        self._windows = await asyncio.to_thread(_windows, found, scopes, enterprise, start, reading.now)
        self._windows_due = self._clock.monotonic() + _WINDOW_EVERY_S


def _windows(
    found: Stretches,
    scopes: set[int | None],
    enterprise: Mapping[int, int],
    start: datetime,
    end: datetime,
) -> dict[tuple[int | None, Scope], Window]:
    windows: dict[tuple[int | None, Scope], Window] = {}
    for scope in scopes:
        mine = (
            found if scope is None else found.only({d for d, owner in enterprise.items() if owner == scope})
        )
        for word in SCOPES:
            windows[scope, word] = window(mine, word, to_us(start), to_us(end))
    return windows
