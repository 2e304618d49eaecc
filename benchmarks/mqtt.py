"""The gateway's CPU per stored MQTT message, outbox and signature included, against bare paho on the same broker.

Messages are JSON with 10 values and their own time, QoS 1; the gateway acknowledges each once it is durable, bare paho
at once. The broker is mosquitto without a limit of messages in flight, or NATS where there is no mosquitto.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks import telegraf
from benchmarks.documents import document
from benchmarks.gateway import work
from benchmarks.mqtt_publisher import EVERY_TOPIC, VALUES, topic
from benchmarks.samples import Pairs
from benchmarks.servers import servers
from deploy.child import Command, running
from deploy.nats import program
from muster.device import Device, Tag
from simulators.modbus.ports import free_ports

SETTLE_S = 12.0
DEVICES = 500
RATES = (500, 5000)
_MOST_UNACKNOWLEDGED = 65_535 // DEVICES
"""NATS gives so many messages of each subscription; it allows one session 65,535 in all."""


def measure(repeats: int, seconds: int, peer: telegraf.Telegraf | None = None) -> dict[str, Any]:
    """Return the figures at each rate of messages a second: µs per message of both, their ratio, loss, memory."""
    found: dict[str, Any] = {}
    for rate in RATES:
        pairs, beside = Pairs(), Pairs()
        own, port = free_ports(2)
        with servers() as around:
            for _ in range(repeats):
                with broker(own, port) as kind, publishing(DEVICES, rate, port):
                    bare = _bare(port, seconds)
                    done = work(around, documents(port, rate), SETTLE_S, seconds)
                    if peer is not None:
                        inputs = telegraf.mqtt(port, EVERY_TOPIC)
                        taken = peer.take(around.folder, "mqtt_consumer", inputs, SETTLE_S / 2, seconds)
                        beside.add(1e6 * done.cpu_s / done.scans, taken.us_each)
                pairs.add(1e6 * done.cpu_s / done.scans, bare)
        found[f"{rate}/s"] = {
            "broker": kind,
            "us_per_message": pairs.summary()["ours"],
            "to_bare": pairs.summary(),
            "missed_share": 1.0 - done.scans / (rate * done.span_s),
            "readings_per_message": done.readings / done.scans,
            "memory_mb": done.memory_mb,
        }
        if peer is not None:
            found[f"{rate}/s"] |= {
                "to_telegraf": beside.summary(),
                "telegraf_missed_share": 1.0 - taken.metrics / (rate * taken.span_s),
                "telegraf_memory_mb": taken.memory_mb,
            }
    return found


def documents(port: int, rate: int, devices: int = DEVICES) -> list[Device]:
    """Return the devices, all behind one broker."""
    tags = [Tag(at + 1, f"v{at}", "float64", {"path": f"$.values.v{at}"}) for at in range(VALUES)]
    return [
        document(
            device + 1,
            "mqtt",
            {
                "broker": {"host": "127.0.0.1", "port": port},
                "topic": topic(device),
                "payload": {"timestamp": {"path": "$.ts", "unit": "ms"}},
            },
            tags,
            interval_s=devices / rate,
        )
        for device in range(devices)
    ]


@contextmanager
def broker(own: int, port: int) -> Iterator[str]:
    """Run a broker on `port` that keeps no session of an earlier pair; gives its name."""
    mosquitto = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    with tempfile.TemporaryDirectory(prefix="muster-bench-mqtt-") as name:
        folder = Path(name)
        file = folder / "broker.conf"
        if mosquitto is not None:
            kind, argv = "mosquitto", [mosquitto, "-c", str(file)]
            file.write_text(
                f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\n"
                "max_inflight_messages 0\nmax_queued_messages 0\n"
            )
        else:
            kind, argv = "nats", [str(program()), "-c", str(file)]
            file.write_text(
                f'listen: 127.0.0.1:{own}\nserver_name: bench\njetstream {{store_dir: "{folder / "store"}"}}\n'
                f"mqtt {{listen: 127.0.0.1:{port}, max_ack_pending: {_MOST_UNACKNOWLEDGED}}}\n"
            )
        with running(Command("broker", argv, folder / "broker.log")):
            _wait_for(port)
            yield kind


def _wait_for(port: int) -> None:
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("the broker does not listen")


@contextmanager
def publishing(devices: int, rate: int, port: int) -> Iterator[None]:
    """Publish `rate` messages a second for the block."""
    argv = [sys.executable, "-m", "benchmarks.mqtt_publisher", *map(str, (devices, rate, port))]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError("the publisher did not start")
        yield
        if process.poll() is not None:
            raise RuntimeError("the publisher ended")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _bare(port: int, seconds: int) -> float:
    argv = [sys.executable, "-m", "benchmarks.mqtt_client", str(port), str(seconds)]
    done = subprocess.run(argv, capture_output=True, check=True)
    figures = json.loads(done.stdout)
    return float(1e6 * figures["cpu_s"] / figures["messages"])
