"""What the command line knows of a running installation: where it is, how it is reached, who is up.

Process ids are given again, so an id alone proves nothing: a launcher runs while it holds its data directory, and
its children are those processes whose parent it is.
"""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bus.settings import BusSettings
from deploy.layout import Layout, layout_of
from deploy.progress import both
from deploy.web import fetch
from muster.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Connections:
    """Connection strings by role, the launcher's way to the bus, and the database's disk budget."""

    owner: str
    ingest: str
    api: str
    bus: BusSettings
    disk_budget_bytes: int


def connections(layout: Layout) -> Connections:
    """Return how the installation is reached.

    Raises:
        ConfigError: nothing was started in this data directory.
    """
    try:
        found = json.loads(layout.connections_file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(both("status.never-started", folder=layout.root)) from error
    return Connections(**{**found, "bus": BusSettings.model_validate(found["bus"])})


def chosen(data_dir: Path | None) -> Layout:
    """Return the data directory that the user named, else the one of the only site that runs on this machine.

    Raises:
        ConfigError: several run, so that one has to be named.
    """
    if data_dir is not None:
        return layout_of(data_dir)
    running = [layout for layout in _seen() if held(layout)]
    if len(running) > 1:
        folders = ", ".join(str(layout.root) for layout in running)
        raise ConfigError(both("status.several", folders=folders))
    return running[0] if running else layout_of(None)


def _seen() -> list[Layout]:
    """Return the data directories of the processes that run here, by the settings files they were started with."""
    roots = set()
    for process in psutil.process_iter(["cmdline"]):
        match process.info["cmdline"] or []:
            case [*_, "deploy.process", _, "--settings", file]:
                roots.add(Path(file).parent.parent)
    return [Layout(root) for root in sorted(roots)]


def held(layout: Layout) -> bool:
    """Tell whether a launcher holds this data directory; one that may not be looked into counts as not held."""
    try:
        with (layout.root / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, PermissionError):
        return False
    return False


def _child_of(pid: int, launcher: int) -> bool:
    """Tell whether a process of this id runs as the launcher's child, and is not one that merely got its id."""
    try:
        process = psutil.Process(pid)
        return process.ppid() == launcher and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def status(layout: Layout) -> dict[str, Any]:
    """Return what is up: the launcher, the console's address, and each process with its own health."""
    state = layout.read_state()
    if state is None or not held(layout):
        return {"up": False, "data_dir": str(layout.root), "processes": {}}
    processes = {}
    for name, process in state["processes"].items():
        port = process["monitor_port"]
        health = None if port is None else fetch(f"http://127.0.0.1:{port}/healthz")
        if name == "api":
            health = fetch(f"{state['console']}healthz")
        processes[name] = {
            "pid": process["pid"],
            "up": process["running"] and _child_of(process["pid"], state["launcher"]),
            "restarts": process["restarts"],
            "since": process["since"],
            "health": None if health is None else health.get("status"),
            "checks": (health or {}).get("checks", {}),
        }
    return {
        "up": state["ready"],
        "data_dir": str(layout.root),
        "console": state["console"],
        "launcher": state["launcher"],
        "processes": processes,
    }
