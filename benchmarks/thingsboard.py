"""The peer from ThingsBoard: its gateway (from PyPI) beside ours, 1,000 Modbus devices × 10 tags at 1 Hz.

It sends to a broker of its own over MQTT, QoS 1, with storage in memory; who stands in for its platform there counts
the values, and what did not arrive within the measured time was not delivered. It runs in its own Python and keeps its
files in a folder that is thrown away.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import modbus
from benchmarks.gateway import work
from benchmarks.modbus_server import host
from benchmarks.mqtt import broker
from benchmarks.processes import cpu_s, memory_mb
from benchmarks.servers import servers
from benchmarks.thingsboard_platform import Platform
from deploy.child import Command, running
from simulators.modbus.ports import free_ports

DEVICES, TAGS = 1000, 10
SETTLE_S = 40.0
_UNLIMITED = "0:0,"
_FIND = "import thingsboard_gateway; print(thingsboard_gateway.__path__[0])"
_LIMITS = (
    "rateLimits",
    "dpRateLimits",
    "messagesRateLimits",
    "deviceMessagesRateLimits",
    "deviceRateLimits",
    "deviceDpRateLimits",
)


def measure(python: Path, seconds: int, devices: int = DEVICES) -> dict[str, Any]:
    """Return delivered share, cores and memory of both, and the ratio of their CPU per delivered value."""
    with servers() as around, modbus.equipment(devices) as port:
        done = work(around, modbus.documents(devices, TAGS, port), modbus.settle_s(devices), seconds)
        theirs = _theirs(python, around.folder, devices, port, seconds)
    values = done.span_s * devices * TAGS
    ours = {
        "delivered_share": done.readings / values,
        "core": done.cpu_s / done.span_s,
        "memory_mb": done.memory_mb,
        "us_per_value": 1e6 * done.cpu_s / done.readings,
    }
    return {
        "gateway": ours,
        "thingsboard_gateway": theirs,
        "cpu_ratio": ours["us_per_value"] / theirs["us_per_value"],
    }


def _theirs(python: Path, folder: Path, devices: int, port: int, seconds: int) -> dict[str, float]:
    own, broker_port = free_ports(2)
    place = folder / "thingsboard"
    config = _configure(python, place, devices, port, broker_port)
    argv = [str(python), "-c", "from thingsboard_gateway.tb_gateway import main; main()"]
    environment = {"TB_GW_CONFIG_DIR": str(config), "TB_GW_LOGS_PATH": str(place / "logs")}
    command = Command(
        "thingsboard", ["env", "-C", str(place), *argv], place / "out.log", environment=environment
    )
    with broker(own, broker_port):
        platform = Platform(broker_port)
        try:
            with running(command) as process:
                time.sleep(SETTLE_S)
                watched = psutil.Process(process.pid)
                before, seen, begin = cpu_s(watched), platform.values, time.monotonic()
                time.sleep(seconds)
                values, used = platform.values - seen, cpu_s(watched) - before
                took, memory = time.monotonic() - begin, memory_mb(watched)
        finally:
            platform.close()
    if not values:
        raise RuntimeError(f"nothing delivered: {(place / 'out.log').read_text('utf-8', 'replace')[-2000:]}")
    return {
        "delivered_share": values / (devices * TAGS * took),
        "core": used / took,
        "memory_mb": memory,
        "us_per_value": 1e6 * used / values,
    }


def _configure(python: Path, place: Path, devices: int, port: int, broker_port: int) -> Path:
    """Write its settings into a copy of its own configuration folder, which it changes as it runs."""
    found = subprocess.run([str(python), "-c", _FIND], capture_output=True, check=True, text=True)
    config = place / "config"
    (place / "logs").mkdir(parents=True)
    shutil.copytree(Path(found.stdout.strip()) / "config", config)
    file = config / "tb_gateway.json"
    settings = json.loads(file.read_text("utf-8"))
    settings["thingsboard"] |= {
        "host": "127.0.0.1",
        "port": broker_port,
        "remoteConfiguration": False,
        "security": {"type": "accessToken", "accessToken": "bench"},
        **dict.fromkeys(_LIMITS, _UNLIMITED),
    }
    settings["thingsboard"]["statistics"]["enable"] = False
    settings["connectors"] = [{"type": "modbus", "name": "bench", "configuration": "modbus.json"}]
    file.write_text(json.dumps(settings), "utf-8")
    slaves = [
        {
            "host": host(device),
            "port": port,
            "type": "tcp",
            "method": "socket",
            "unitId": 1,
            "deviceName": f"d{device}",
            "deviceType": "default",
            "timeout": 5,
            "byteOrder": "BIG",
            "wordOrder": "BIG",
            "retries": 1,
            "pollPeriod": 1000,
            "connectAttemptTimeMs": 5000,
            "connectAttemptCount": 5,
            "waitAfterFailedAttemptsMs": 5000,
            "attributes": [],
            "timeseries": [
                {"tag": f"r{at}", "type": "16uint", "address": at, "objectsCount": 1, "functionCode": 3}
                for at in range(TAGS)
            ],
            "attributeUpdates": [],
            "rpc": [],
        }
        for device in range(devices)
    ]
    (config / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}), "utf-8")
    return config
