"""Keeps children running: started in order, restarted with backoff when they crash, stopped in reverse."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.child import Child, Command, keep_small, last_words, start
from muster.errors import ConfigError

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 15.0
SETTLED_S = 30.0
"""A child that ran this long begins with the first backoff again."""
LOG_LOOK_S = 60.0


@dataclass(slots=True)
class Kept:
    """One child and its history; times in seconds since 1970."""

    command: Command
    child: Child
    since: float
    restarts: int = 0
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Crash:
    """What happened to a child: how it ended, and after how many seconds it starts again."""

    name: str
    returncode: int
    again_in_s: float
    last_words: str


@dataclass(slots=True)
class Supervisor:
    """The children of one launcher.

    crashed: told of each crash. changed: called when a child started or ended.
    """

    crashed: Callable[[Crash], None]
    changed: Callable[[], None]
    kept: dict[str, Kept] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, command: Command) -> None:
        """Start a child and keep it running from now on."""
        kept = Kept(command, await start(command), time.time())
        self.kept[command.name] = kept
        kept.task = asyncio.create_task(self._keep(kept), name=f"keep {command.name}")
        self.changed()

    async def stop(self) -> None:
        """End all children in the reverse of the order in which they were added."""
        self._stopping.set()
        for kept in reversed(self.kept.values()):
            await kept.child.stop()
            if kept.task is not None:
                await kept.task
        self.changed()

    async def _keep(self, kept: Kept) -> None:
        backoff = FIRST_BACKOFF_S
        while True:
            returncode = await self._end(kept)
            if self._stopping.is_set():
                return
            if time.time() - kept.since > SETTLED_S:
                backoff = FIRST_BACKOFF_S
            self.changed()
            words = last_words(kept.command.log)
            child = None
            while child is None:
                self.crashed(Crash(kept.command.name, returncode, backoff, words))
                if await self._stopped_within(backoff):
                    return
                backoff = min(2 * backoff, LONGEST_BACKOFF_S)
                try:
                    child = await start(kept.command)
                except ConfigError as error:
                    words = str(error)
            kept.child = child
            if self._stopping.is_set():
                await child.stop()
                return
            kept.since = time.time()
            kept.restarts += 1
            self.changed()

    async def _end(self, kept: Kept) -> int:
        """Wait for a child's end, keeping its log small meanwhile, and return how it ended."""
        while True:
            try:
                return await asyncio.wait_for(kept.child.wait(), LOG_LOOK_S)
            except TimeoutError:
                keep_small(kept.command.log)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
