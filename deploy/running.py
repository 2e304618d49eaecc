"""What the command line knows of a running installation: how its database and bus are reached, who is up."""

import json
import os
from dataclasses import dataclass
from typing import Any

from bus.settings import BusSettings
from deploy.layout import Layout
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


def alive(pid: int) -> bool:
    """Tell whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def status(layout: Layout) -> dict[str, Any]:
    """Return what is up: the launcher, the console's address, and each process with its own health."""
    state = layout.read_state()
    if state is None or not alive(state["launcher"]):
        return {"up": False, "data_dir": str(layout.root), "processes": {}}
    processes = {}
    for name, process in state["processes"].items():
        port = process["monitor_port"]
        health = None if port is None else fetch(f"http://127.0.0.1:{port}/healthz")
        if name == "api":
            health = fetch(f"{state['console']}healthz")
        processes[name] = {
            "pid": process["pid"],
            "up": process["running"] and alive(process["pid"]),
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
