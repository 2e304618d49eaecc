"""What viewers of the wall cost: one API process with one viewer and with two hundred, right after one another.

The limit of two hundred viewers is one: whoever computes and serializes once for all needs hardly more. Delay is from
a transaction's commit until a viewer has the change.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from api.settings import Settings
from benchmarks.queries import SQL as YEAR
from benchmarks.servers import Servers, servers
from benchmarks.wall_clients import SQL
from bus.subjects import PARTITIONS
from deploy.child import Command, running
from deploy.web import fetch
from simulators.modbus.ports import free_ports
from store.roles import set_passwords

DEVICES = 520
VIEWERS = 200


def measure(repeats: int, seconds: int) -> dict[str, Any]:
    """Return cores of the API process by number of viewers, and the delays of its viewers in ms."""
    cores: dict[int, list[float]] = {1: [], VIEWERS: []}
    delays: dict[int, list[float]] = {1: [], VIEWERS: []}
    with servers() as around:
        for _ in range(repeats):
            for viewers in cores:
                _write(around)
                with _serving(around) as (port, process):
                    used, told = _look(port, process, viewers, round(seconds / 0.7), around.owner)
                cores[viewers].append(used)
                delays[viewers] += told
    more = [many - one for one, many in zip(cores[1], cores[VIEWERS], strict=True)]
    return {
        "core_1": median(cores[1]),
        "core_200": median(cores[VIEWERS]),
        "core_more": median(more),
        "delay_ms_1": _quantiles(delays[1]),
        "delay_ms_200": _quantiles(delays[VIEWERS]),
        "n": repeats,
    }


def _write(around: Servers) -> None:
    """Write the devices, or let those that fell come back."""
    asked = {"devices": DEVICES, "partitions": PARTITIONS}
    with psycopg.connect(around.owner, autocommit=True) as session:
        if session.execute("select count(*) from device").fetchone() == (0,):
            session.execute(YEAR["book"], asked)
            session.execute(SQL["watch"], asked)
        session.execute(SQL["connect"], asked)


@contextmanager
def _serving(around: Servers) -> Iterator[tuple[int, psutil.Process]]:
    password, (port,) = secrets.token_hex(16), free_ports(1)
    asyncio.run(set_passwords(around.owner, {"muster_api": password}))
    settings = Settings(
        port=port,
        database=make_conninfo(around.owner, user="muster_api", password=password),
        anonymous="operator",
    )
    file = around.folder / "api.json"
    file.write_text(settings.model_dump_json(), "utf-8")
    argv = [sys.executable, "-m", "deploy.process", "api", "--settings", str(file)]
    log = around.folder / "api.log"
    with running(Command("api", argv, log)) as process:
        begin = time.monotonic()
        while fetch(f"http://127.0.0.1:{port}/healthz") is None:
            if time.monotonic() - begin > 30:
                raise RuntimeError(log.read_text("utf-8", "replace")[-2000:])
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)


def _look(
    port: int, process: psutil.Process, viewers: int, changes: int, owner: str
) -> tuple[float, list[float]]:
    """Return the cores that the API used while `viewers` looked, and their delays."""
    argv = [sys.executable, "-m", "benchmarks.wall_clients", str(port), str(viewers), str(changes)]
    before, since = _cpu_s(process), time.monotonic()
    done = subprocess.run(argv, input=owner, capture_output=True, text=True, timeout=300, check=False)
    used = (_cpu_s(process) - before) / (time.monotonic() - since)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return used, json.loads(done.stdout)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _quantiles(delays: list[float]) -> dict[str, float]:
    delays.sort()
    return {
        "p50": median(delays),
        "p99": delays[min(len(delays) - 1, len(delays) * 99 // 100)],
        "n": len(delays),
    }
