"""What a gateway loses when it is killed: `kill -9` at random moments, equipment that counts its own answers.

Every answer that the equipment gave is looked for in the database; what is not there must lie inside a listed gap. The
loss is told in ms of polls per kill. Run as a program it is the equipment.
"""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from benchmarks import kept
from benchmarks.documents import document
from benchmarks.gateway import command, tell
from benchmarks.road import ingesting, register
from benchmarks.servers import Servers, servers
from bus.subjects import PARTITIONS
from deploy.child import running
from muster.device import Device, Tag
from simulators import pollcounter
from simulators.modbus.ports import free_ports
from simulators.serve import serve

HOST = "127.0.0.1"
SLACK_US = 250_000
"""Between the equipment's log and the gateway's receive time of one answer lies the wire, and a busy machine."""
LIVE_S = (1.0, 5.0)
"""Between all devices being polled and the next kill."""
AT_END_S = 1.0
"""Answers given so shortly before the orderly end are not looked for."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Answers without a row: device `(n,)`, when given in µs since 1970 `(n,)`, and whether a gap lists it `(n,)`."""

    device: NDArray[np.int64]
    at_us: NDArray[np.int64]
    listed: NDArray[np.bool_]


def measure(kills: int, devices: int = 500) -> dict[str, Any]:
    """Return answers, rows, what was lost in ms of polls per kill, and what no gap lists."""
    with servers() as around, _equipment(around.folder, devices) as (log, ports):
        key = Ed25519PrivateKey.generate()
        register(around, key, [range(1, devices + 1)], pollcounter.REGISTERS - 1)
        asyncio.run(tell(around, documents(devices, ports)))
        with ingesting(around):
            moments, end_us = _kill_now_and_then(around, key, kills, log, devices)
            before = -1
            while (there := kept.stored(around)) != before:
                before = there
                time.sleep(3.0)
        given = np.array([one for one in pollcounter.read_log(log) if one[2] < end_us], np.int64)
        rows = _rows(around)
        lost = missing(given, rows, _gaps(around))
    nearest = np.abs(lost.at_us[:, None] - np.array(moments)).argmin(axis=1) if len(lost.at_us) else []
    each = np.bincount(nearest, minlength=kills) * 1000 / devices
    return {
        "kills": kills,
        "devices": devices,
        "answers": len(given),
        "lost": len(lost.device),
        "lost_share": len(lost.device) / len(given),
        "lost_ms_per_kill": float(each.mean()),
        "lost_ms_worst": float(each.max()),
        "lost_ms": [round(float(one), 1) for one in each],
        "silent": int((~lost.listed).sum()),
        "doubled": len(rows) - len(np.unique(rows, axis=0)),
    }


def missing(
    given: NDArray[np.int64], rows: NDArray[np.int64], gaps: list[tuple[int | None, int | None, int, int]]
) -> Lost:
    """Return the answers that have no row.

    given: device, count, µs since 1970, `(n, 3)`; rows: device, count, `(m, 2)`; gaps: device and partition (None:
    all), from, to (µs since 1970).
    """
    there = rows[:, 0] << 32 | rows[:, 1]
    gone = given[~np.isin(given[:, 0] << 32 | given[:, 1], there)]
    listed = np.zeros(len(gone), bool)
    for device, partition, from_us, to_us in gaps:
        mine = (gone[:, 2] >= from_us - SLACK_US) & (gone[:, 2] <= to_us + SLACK_US)
        if device is not None:
            mine &= gone[:, 0] == device
        elif partition is not None:
            mine &= gone[:, 0] % PARTITIONS == partition
        listed |= mine
    return Lost(gone[:, 0], gone[:, 2], listed)


def documents(devices: int, ports: list[int]) -> list[Device]:
    """Return the counting devices, five behind each port, polled once a second."""
    tags = [Tag(1, "count", "uint32", {"table": "holding", "register": 0})]
    tags += [
        Tag(register, f"spare_{register}", "uint16", {"table": "holding", "register": register})
        for register in range(2, pollcounter.REGISTERS)
    ]
    made = []
    for at in range(devices):
        place, unit = divmod(at, pollcounter.UNITS_PER_ENDPOINT)
        way = {"transport": "tcp", "host": HOST, "port": ports[place], "unit": unit + 1}
        made.append(document(at + 1, "modbus", way | {"device_identification": False}, tags, polled=True))
    return made


def _kill_now_and_then(
    around: Servers, key: Ed25519PrivateKey, kills: int, log: Path, devices: int
) -> tuple[list[int], int]:
    """Return when the gateway was killed, and up to when answers are looked for (µs since 1970)."""
    chance, moments = random.Random(), []
    for _ in range(kills):
        with running(command(around, key)) as process:
            _wait_for_polls(log, devices)
            time.sleep(chance.uniform(*LIVE_S))
            moments.append(time.time_ns() // 1000)
            process.send_signal(signal.SIGKILL)
            process.wait()
    with running(command(around, key)):
        _wait_for_polls(log, devices)
        time.sleep(LIVE_S[1])
        end_us = time.time_ns() // 1000 - round(AT_END_S * 1e6)
    return moments, end_us


def _wait_for_polls(log: Path, devices: int) -> None:
    """Wait until every device answered since now."""
    deadline = time.monotonic() + 120
    seen: set[int] = set()
    with log.open("rb") as lines:
        lines.seek(0, 2)
        while len(seen) < devices:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {len(seen)} devices are polled")
            time.sleep(0.1)
            seen.update(int(line.split()[0]) for line in lines if line.endswith(b"\n"))


def _rows(around: Servers) -> NDArray[np.int64]:
    with psycopg.connect(around.owner) as session:
        rows = session.execute(
            "select device, value[1]::bigint from scan where value[1] is not null"
        ).fetchall()
    return np.array(rows, np.int64).reshape(-1, 2)


def _gaps(around: Servers) -> list[tuple[int | None, int | None, int, int]]:
    with psycopg.connect(around.owner) as session:
        return session.execute(
            "select device, partition, (extract(epoch from from_time) * 1e6)::bigint,"
            " (extract(epoch from to_time) * 1e6)::bigint from gap"
        ).fetchall()


@contextmanager
def _equipment(folder: Path, devices: int) -> Iterator[tuple[Path, list[int]]]:
    """Run the equipment; gives the log of its answers and its ports."""
    ports, log = free_ports(pollcounter.endpoint_count(devices)), folder / "answers.log"
    log.touch()
    argv = [sys.executable, "-m", "benchmarks.kills", str(log), str(devices), *map(str, ports)]
    process = subprocess.Popen(argv)
    try:
        yield log, ports
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    file, number, *places = sys.argv[1:]
    asyncio.run(serve(pollcounter.endpoints(int(number), HOST, [int(port) for port in places], Path(file))))
