"""The gateway's CPU per Modbus poll, outbox and signature included, against the least and against the library.

One server process answers for N devices of R registers; the gateway, a bare BufferedProtocol client and bare
pymodbus poll them in turn, once a second each, in 50 ms slots. CPU is user and system time of the polling process.
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
from benchmarks.modbus_server import host
from benchmarks.samples import Pairs
from benchmarks.servers import Servers, servers
from muster.device import Device, Tag
from simulators.modbus.ports import free_ports

SHAPES = ((500, 16), (1000, 50))
SETTLE_S = 6.0
SETTLE_PER_DEVICE_S = 0.015
"""Opening sessions and compiling plans takes its time; figures are taken after it."""


def measure(
    repeats: int,
    seconds: int,
    shapes: tuple[tuple[int, int], ...] = SHAPES,
    peer: telegraf.Telegraf | None = None,
) -> dict[str, Any]:
    """Return the figures of each shape: µs per poll of all, and the gateway's ratios to the others."""
    found: dict[str, Any] = {}
    for devices, registers in shapes:
        against, beside = {"bare": Pairs(), "pymodbus": Pairs()}, Pairs()
        with servers() as around, equipment(devices) as port:
            for _ in range(repeats):
                ours, missed = _gateway(around, devices, registers, port, seconds)
                for kind, pairs in against.items():
                    pairs.add(ours, _client(kind, devices, registers, port, seconds))
                if peer is not None:
                    inputs = telegraf.modbus(((host(at), port) for at in range(devices)), registers)
                    taken = peer.take(around.folder, "modbus", inputs, settle_s(devices), seconds)
                    beside.add(ours, taken.us_each)
        found[f"{devices}x{registers}"] = {
            "us_per_poll": {"gateway": against["bare"].summary()["ours"]},
            "missed_share": missed,
            "to_bare": against["bare"].summary(),
            "to_pymodbus": against["pymodbus"].summary(),
        }
        if peer is not None:
            found[f"{devices}x{registers}"] |= {
                "to_telegraf": beside.summary(),
                "telegraf_missed_share": 1.0 - taken.metrics / (devices * taken.span_s),
                "telegraf_memory_mb": taken.memory_mb,
            }
    return found


@contextmanager
def equipment(devices: int) -> Iterator[int]:
    """Run the server that answers for `devices`; gives its port."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "benchmarks.modbus_server", str(devices), str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _client(kind: str, devices: int, registers: int, port: int, seconds: int) -> float:
    argv = [sys.executable, "-m", "benchmarks.modbus_clients", kind]
    done = subprocess.run(
        [*argv, *map(str, (devices, registers, port, seconds))], capture_output=True, check=True
    )
    figures = json.loads(done.stdout)
    return float(1e6 * figures["cpu_s"] / figures["polls"])


def _gateway(around: Servers, devices: int, registers: int, port: int, seconds: int) -> tuple[float, float]:
    """Return µs of CPU per stored poll, and the share of polls that did not come."""
    done = work(around, documents(devices, registers, port), settle_s(devices), seconds)
    return 1e6 * done.cpu_s / done.scans, 1.0 - done.scans / (devices * done.span_s)


def settle_s(devices: int) -> float:
    """Return after how long so many devices are polled steadily."""
    return SETTLE_S + SETTLE_PER_DEVICE_S * devices


def documents(devices: int, registers: int, port: int) -> list[Device]:
    """Return the devices, each at an address of its own, a tag for each register."""
    tags = [
        Tag(register + 1, f"r{register}", "uint16", {"table": "holding", "register": register})
        for register in range(registers)
    ]
    connections = [
        {"transport": "tcp", "host": host(device), "port": port, "device_identification": False}
        for device in range(devices)
    ]
    return [document(at, "modbus", each, tags, polled=True) for at, each in enumerate(connections, start=1)]
