"""The gateway's CPU per Modbus poll, outbox and signature included, against the least and against the library.

One server process answers for N devices of R registers; the gateway, a bare BufferedProtocol client and bare
pymodbus poll them in turn, once a second each, in 50 ms slots. CPU is user and system time of the polling process.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.modbus_server import host
from benchmarks.samples import Pairs
from benchmarks.servers import Servers, servers
from bus import connection, subjects
from bus.envelope import decode
from deploy.child import Command, running
from gateway.settings import Settings
from muster.device import Device, ReportMode, Tag
from simulators.modbus.ports import free_ports

SHAPES = ((500, 16), (1000, 50))
SETTLE_S = 6.0
SETTLE_PER_DEVICE_S = 0.015
"""Opening sessions and compiling plans takes its time; figures are taken after it."""


def measure(repeats: int, seconds: int, shapes: tuple[tuple[int, int], ...] = SHAPES) -> dict[str, Any]:
    """Return the figures of each shape: µs per poll of all three, and the gateway's ratios to the others."""
    found: dict[str, Any] = {}
    for devices, registers in shapes:
        against = {"bare": Pairs(), "pymodbus": Pairs()}
        with servers() as around, _equipment(devices) as port:
            for _ in range(repeats):
                ours, missed = _gateway(around, devices, registers, port, seconds)
                for kind, pairs in against.items():
                    pairs.add(ours, _client(kind, devices, registers, port, seconds))
        found[f"{devices}x{registers}"] = {
            "us_per_poll": {"gateway": against["bare"].summary()["ours"]},
            "missed_share": missed,
            "to_bare": against["bare"].summary(),
            "to_pymodbus": against["pymodbus"].summary(),
        }
    return found


@contextmanager
def _equipment(devices: int) -> Iterator[int]:
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
    asyncio.run(_tell(around, devices, registers, port))
    key = around.folder / "gateway.pem"
    key.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    outbox = around.folder / "outbox"
    outbox.mkdir(exist_ok=True)
    settings = Settings(
        gateway=1,
        name="bench",
        bus=around.bus["gateway-1"],
        key_file=key,
        outbox_dir=outbox,
        rooms_dir=outbox.parent,
    )
    file = around.folder / "gateway.json"
    file.write_text(settings.model_dump_json(), "utf-8")
    argv = [sys.executable, "-m", "deploy.process", "gateway", "--settings", str(file)]
    with running(Command("gateway", argv, around.folder / "gateway.log")) as process:
        time.sleep(SETTLE_S + SETTLE_PER_DEVICE_S * devices)
        watched = psutil.Process(process.pid)
        before, begin = watched.cpu_times(), time.time()
        time.sleep(seconds)
        after, end = watched.cpu_times(), time.time()
    used = after.user + after.system - before.user - before.system
    polls = asyncio.run(_count_scans(around, begin, end))
    return 1e6 * used / polls, 1.0 - polls / (devices * (end - begin))


async def _tell(around: Servers, devices: int, registers: int, port: int) -> None:
    """Put the devices' documents where the gateway looks for them."""
    client = await connection.connect(around.bus["launcher"], "bench")
    await client.jetstream().purge_stream(subjects.STREAM)
    bucket = await connection.ensure_bucket(client.jetstream())
    tags = [
        Tag(register + 1, f"r{register}", "uint16", {"table": "holding", "register": register})
        for register in range(registers)
    ]
    for number in range(devices):
        document = Device(
            number=number + 1,
            version=1,
            code=f"B-{number}",
            name=f"bench {number}",
            enterprise=1,
            protocol="modbus",
            connection={
                "transport": "tcp",
                "host": host(number),
                "port": port,
                "device_identification": False,
            },
            report_mode=ReportMode.POLLED,
            interval_s=1.0,
            tags=tags,
        )
        await bucket.put(subjects.device_key(1, number + 1), msgspec.json.encode(document))
    await client.close()


async def _count_scans(around: Servers, begin: float, end: float) -> int:
    """Return how many scans of these instants (s since 1970) stand in the stream: they are what left the gateway."""

    client = await connection.connect(around.bus["launcher"], "bench")
    jetstream = client.jetstream()
    reader = await jetstream.subscribe(subjects.STREAM_SUBJECTS, ordered_consumer=True)
    total = 0
    for _ in range((await jetstream.stream_info(subjects.STREAM)).state.messages):
        message = await reader.next_msg(timeout=10)
        received = decode(message.data).scans.received / 1e6
        total += int(((received >= begin) & (received < end)).sum())
    await client.close()
    return total
