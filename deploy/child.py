"""A child process that cannot outlive its parent, writes to its own log file, and stops when told.

The kernel signals the child when the parent dies (prctl PR_SET_PDEATHSIG, Linux); elsewhere an orderly stop
is the only guarantee.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deploy.account import Account
from muster.errors import ConfigError

_PR_SET_PDEATHSIG = 1
LOG_LIMIT_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `stop_signal` ends it in good order, within `grace_s` seconds."""

    name: str
    argv: Sequence[str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 15.0
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One running child."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._process = process

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return how it ended."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: in good order within its grace, otherwise by force."""
        if self.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self.command.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self.command.grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def start(command: Command) -> Child:
    """Start a child.

    Raises:
        ConfigError: the program or its log file cannot be used.
    """
    keep_small(command.log)
    try:
        with command.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command.argv, **options(command, log))
    except OSError as error:
        raise ConfigError(f"{command.name}: {error}") from error
    return Child(command, process)


@contextlib.contextmanager
def running(command: Command) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child for the block, without an event loop; ended in good order, otherwise by force."""
    with command.log.open("ab") as log:
        process = subprocess.Popen(command.argv, **options(command, log))
    try:
        yield process
    finally:
        process.send_signal(command.stop_signal)
        try:
            process.wait(command.grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def options(command: Command, log: IO[bytes]) -> dict[str, Any]:
    """Return how a child is started, in the words of `subprocess.Popen`."""
    parent = os.getpid()
    account = command.account
    return {
        "stdin": subprocess.DEVNULL,
        "stdout": log,
        "stderr": log,
        "env": {**os.environ, **command.environment},
        "start_new_session": True,
        "preexec_fn": lambda: _die_with(parent, command.stop_signal),
        **({} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}),
    }


def _die_with(parent: int, death: signal.Signals) -> None:
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), death)


def keep_small(log: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Move what a log that has grown large holds into one older log beside it, while its child writes on.

    Children append, so what they write next stands at the beginning again. A line written between copying and
    emptying may be lost; nothing but the log depends on it.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit_bytes:
            shutil.copyfile(log, log.with_suffix(".1.log"))
            os.truncate(log, 0)


def last_words(log: Path, lines: int = 5) -> str:
    """Return the last lines of a log, for telling why a child ended."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
