"""The entry of every child process: `python -m deploy.process NAME --settings FILE`.

A process reads its settings once, works until it is told to stop, and exits with 0 after an orderly end, 2
when its configuration is wrong (trying again cannot help), 1 otherwise.
"""

import argparse
import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
import uvloop
from pydantic import BaseModel, ValidationError

from bus.log import configure
from deploy.protocols import protocol_infos
from muster.errors import ConfigError

Run = Callable[[BaseModel, asyncio.Event], Awaitable[None]]
NAMES = ("gateway", "ingest", "keeper", "api", "simulators")
_log = structlog.get_logger()


def _load(name: str) -> tuple[type[BaseModel], Run]:
    """Return a process's settings model and its work."""
    if name == "keeper":
        keeper = importlib.import_module("deploy.keeper")
        return keeper.Settings, keeper.run
    settings: type[BaseModel] = importlib.import_module(f"{name}.settings").Settings
    run: Callable[..., Awaitable[None]] = importlib.import_module(f"{name}.process").run
    if name == "api":
        return settings, lambda given, stop: run(given, stop, protocol_infos())
    return settings, run


async def _work(run: Run, settings: BaseModel) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)


def _config_error(error: BaseException) -> ConfigError | None:
    """Return the configuration error in a (group of) exceptions, if there is one."""
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _config_error(inner))), None)
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run one process and return its exit code."""
    parser = argparse.ArgumentParser(prog="deploy.process")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--settings", type=Path, required=True)
    given = parser.parse_args(arguments)
    configure(given.name)
    model, run = _load(given.name)
    try:
        settings = model.model_validate_json(given.settings.read_text("utf-8"))
    except (OSError, ValidationError) as error:
        _log.error("settings-wrong", file=str(given.settings), error=str(error))
        return 2
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(_work(run, settings))
    except Exception as error:  # noqa: BLE001 - the outermost place: every error ends the process, said in full
        wrong = _config_error(error)
        if wrong is not None:
            _log.error("configuration-wrong", error=str(wrong))
            return 2
        _log.exception("process-failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
