"""The gateway's CPU per stored Sparkplug message, against bare paho that only decodes the protobuf, on the same broker.

Messages are DATA of 10 metrics by alias, QoS 0, as an edge node says them that reports by exception and had all ten
change; 500 devices behind 25 edge nodes, each born before it says anything and again when it is asked to.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.documents import document
from benchmarks.gateway import work
from benchmarks.mqtt import broker
from benchmarks.samples import Pairs
from benchmarks.servers import servers
from benchmarks.sparkplug_node import DEVICES_OF_A_NODE, GROUP, METRICS, metric_name, node_name
from muster.device import Device, Tag
from simulators.modbus.ports import free_ports

DEVICES = 500
RATE = 500
SETTLE_S = 15.0


def measure(repeats: int, seconds: int) -> dict[str, Any]:
    """Return µs per message of both, their ratio, what was missed, and memory."""
    pairs = Pairs()
    own, port = free_ports(2)
    with servers() as around:
        for _ in range(repeats):
            with broker(own, port) as kind, _edge_nodes(DEVICES, RATE, port):
                bare = _bare(port, seconds)
                done = work(around, documents(port, DEVICES, RATE), SETTLE_S, seconds)
            pairs.add(1e6 * done.cpu_s / done.scans, bare)
    return {
        "broker": kind,
        "us_per_message": pairs.summary()["ours"],
        "to_bare": pairs.summary(),
        "missed_share": 1.0 - done.scans / (RATE * done.span_s),
        "readings_per_message": done.readings / done.scans,
        "memory_mb": done.memory_mb,
    }


def documents(port: int, devices: int, rate: int) -> list[Device]:
    """Return the devices of all edge nodes."""
    tags = [Tag(at + 1, f"m{at}", "float64", {"metric": metric_name(at)}) for at in range(METRICS)]
    return [
        document(
            device + 1,
            "sparkplug",
            {
                "broker": {"host": "127.0.0.1", "port": port},
                "group": GROUP,
                "edge_node": node_name(device // DEVICES_OF_A_NODE),
                "device": f"d{device}",
            },
            tags,
            interval_s=devices / rate,
        )
        for device in range(devices)
    ]


@contextmanager
def _edge_nodes(devices: int, rate: int, port: int) -> Iterator[None]:
    argv = [sys.executable, "-m", "benchmarks.sparkplug_node", *map(str, (devices, rate, port))]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError("the edge nodes did not start")
        yield
        if process.poll() is not None:
            raise RuntimeError("the edge nodes ended")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _bare(port: int, seconds: int) -> float:
    argv = [sys.executable, "-m", "benchmarks.mqtt_client", str(port), str(seconds), "sparkplug"]
    done = subprocess.run(argv, capture_output=True, check=True)
    figures = json.loads(done.stdout)
    return float(1e6 * figures["cpu_s"] / figures["messages"])
