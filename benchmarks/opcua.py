"""The gateway's CPU per OPC UA data change, outbox and signature included, against bare asyncua on the same server.

Two shapes: one session with 1,000 variables of 100 devices, and 100 sessions with the 10 variables of one device each;
every variable changes once a second.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import telegraf
from benchmarks.documents import document
from benchmarks.gateway import work
from benchmarks.opcua_server import node
from benchmarks.samples import Pairs
from benchmarks.servers import servers
from muster.device import Device, Tag
from simulators.modbus.ports import free_ports

DEVICES, VARIABLES = 100, 10
SETTLE_S = 20.0
SESSIONS = {"1x1000": 1, "100x10": 100}


def measure(
    repeats: int,
    seconds: int,
    shapes: tuple[str, ...] = tuple(SESSIONS),
    peer: telegraf.Telegraf | None = None,
) -> dict[str, Any]:
    """Return the figures of each shape: µs per change of both, their ratio, readings per scan, memory."""
    found: dict[str, Any] = {}
    for name in shapes:
        sessions, pairs, beside = SESSIONS[name], Pairs(), Pairs()
        with servers() as around, equipment(DEVICES) as port:
            for _ in range(repeats):
                done = work(around, documents(port, sessions), SETTLE_S, seconds)
                ours = 1e6 * done.cpu_s / done.readings
                pairs.add(ours, _bare(sessions, port, seconds))
                if peer is not None:
                    inputs = telegraf.opcua(_sessions(port, sessions))
                    taken = peer.take(around.folder, "opcua_listener", inputs, SETTLE_S, seconds)
                    beside.add(ours, taken.us_each)
        found[name] = {
            "us_per_change": pairs.summary()["ours"],
            "to_bare": pairs.summary(),
            "missed_share": 1.0 - done.readings / (DEVICES * VARIABLES * done.span_s),
            "readings_per_scan": done.readings / done.scans,
            "memory_mb": done.memory_mb,
        }
        if peer is not None:
            found[name] |= {
                "to_telegraf": beside.summary(),
                "telegraf_missed_share": 1.0 - taken.metrics / (DEVICES * VARIABLES * taken.span_s),
                "telegraf_memory_mb": taken.memory_mb,
            }
    return found


def _sessions(port: int, sessions: int) -> Iterator[tuple[str, list[str]]]:
    """Give the URL of each session and the nodes of its devices."""
    for session in range(sessions):
        nodes = [
            node(at, variable) for at in range(session, DEVICES, sessions) for variable in range(VARIABLES)
        ]
        yield f"opc.tcp://127.0.0.{session + 1}:{port}", nodes


def documents(port: int, sessions: int, devices: int = DEVICES) -> list[Device]:
    """Return the devices, spread over `sessions`: another host name of this machine makes another session."""
    return [
        document(
            device + 1,
            "opcua",
            {
                "url": f"opc.tcp://127.0.0.{device % sessions + 1}:{port}",
                "security": {"policy": "None", "mode": "none"},
            },
            [Tag(at + 1, f"v{at}", "float64", {"node": node(device, at)}) for at in range(VARIABLES)],
        )
        for device in range(devices)
    ]


@contextmanager
def equipment(devices: int) -> Iterator[int]:
    """Run the server that stands for `devices`; gives its port."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "benchmarks.opcua_server", str(devices), str(VARIABLES), str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _bare(sessions: int, port: int, seconds: int) -> float:
    argv = [
        sys.executable,
        "-m",
        "benchmarks.opcua_client",
        *map(str, (sessions, DEVICES, VARIABLES, port, seconds)),
    ]
    done = subprocess.run(argv, capture_output=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return float(1e6 * figures["cpu_s"] / figures["changes"])
