"""The demo as users start it: memory and CPU of every process, and how long a value takes from device to API.

CPU is taken while nobody asks the API anything. Latency, afterwards, is the time from the gateway's receipt of a
reading to the moment at which the API first shows it; asking for that some hundred times a second costs CPU of its own.
"""

import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.disk import bytes_per_reading
from benchmarks.processes import cpu_s, memory_mb
from deploy.child import Command, running
from deploy.web import fetch
from simulators.modbus.ports import free_ports

SETTLE_S = 20.0
WATCHED_DEVICES = 10


def measure(seconds: int) -> dict[str, Any]:
    """Return cores and MB by process, latency quantiles in ms, and bytes per reading on disk."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        data, (port,) = folder / "data", free_ports(1)
        argv = [sys.executable, "-c", "from deploy.cli import main; main()", "demo", "--port", str(port)]
        command = Command("demo", [*argv, "--data-dir", str(data)], folder / "demo.log", grace_s=60)
        with running(command):
            begin = time.monotonic()
            url = f"http://127.0.0.1:{port}/api/v1"
            while _rehearsal(url) < 520:
                if time.monotonic() - begin > 180:
                    raise RuntimeError((folder / "demo.log").read_text("utf-8", "replace")[-2000:])
                time.sleep(0.5)
            started_s = time.monotonic() - begin
            time.sleep(SETTLE_S)
            state = json.loads((data / "run" / "state.json").read_text("utf-8"))
            processes = {name: psutil.Process(one["pid"]) for name, one in state["processes"].items()}
            before = {name: cpu_s(process) for name, process in processes.items()}
            since = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - since
            cores = {name: (cpu_s(process) - before[name]) / took for name, process in processes.items()}
            memory = {name: memory_mb(process) for name, process in processes.items()}
            latency = _latencies(url, seconds)
            owner = json.loads((data / "run" / "connections.json").read_text("utf-8"))["owner"]
            on_disk = bytes_per_reading(owner)
    own = [name for name in cores if name != "simulators"]
    return {
        "seconds_to_520": started_s,
        "cores": cores,
        "cores_without_simulators": sum(cores[name] for name in own),
        "memory_mb": memory,
        "memory_mb_without_simulators": sum(memory[name] for name in own),
        "latency_ms": latency,
        **on_disk,
    }


def _rehearsal(url: str) -> int:
    return int((fetch(f"{url}/counts/devices") or {}).get("rehearsal", {}).get("connected", 0))


def _latencies(url: str, seconds: int) -> dict[str, float]:
    """Watch some devices and note how long after its receive time each new reading is first shown."""
    page = fetch(f"{url}/devices?limit={WATCHED_DEVICES}") or {}
    devices = [item["id"] for item in page["items"]]
    shown: dict[int, str] = {}
    latencies: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for device in devices:
            latest = fetch(f"{url}/devices/{device}/latest") or {}
            moments = [one["received"] for one in latest.get("readings", []) if one["received"]]
            received = max(moments, default=None)
            if received is None or shown.get(device) == received:
                continue
            if device in shown:
                latencies.append(1000 * (time.time() - _seconds(received)))
            shown[device] = received
        time.sleep(0.01)
    latencies.sort()
    if not latencies:
        raise RuntimeError("the API showed no new reading")
    return {
        "p50": median(latencies),
        "p99": latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)],
        "n": len(latencies),
    }


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
