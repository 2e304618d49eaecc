"""A whole gateway process under measurement: its documents, its CPU, and what left it.

What it acquired is counted in the stream, behind journal, outbox, signature and publisher: what is not there was not
done, and costs nothing in the figure's favour.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import msgspec
import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.servers import Servers
from bus import connection, subjects
from bus.envelope import decode
from deploy.child import Command, running
from gateway.settings import Settings
from muster.device import Device


@dataclass(frozen=True, slots=True)
class Work:
    """What one gateway did in `span_s` seconds.

    cpu_s: user and system time of the process; memory_mb: its proportional share at the end; scans, readings: those
    received meanwhile that stand in the stream; sizes: scans by how many values they hold.
    """

    cpu_s: float
    memory_mb: float
    span_s: float
    scans: int
    readings: int


def work(around: Servers, devices: list[Device], settle_s: float, seconds: float) -> Work:
    """Run gateway 1 with these devices and return what it did after it settled.

    Raises:
        RuntimeError: nothing of that time stands in the stream.
    """
    asyncio.run(_tell(around, devices))
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
        rooms_dir=around.folder / "rooms",
    )
    file = around.folder / "gateway.json"
    file.write_text(settings.model_dump_json(), "utf-8")
    argv = [sys.executable, "-m", "deploy.process", "gateway", "--settings", str(file)]
    with running(Command("gateway", argv, around.folder / "gateway.log")) as process:
        time.sleep(settle_s)
        watched = psutil.Process(process.pid)
        before, begin = watched.cpu_times(), time.time()
        time.sleep(seconds)
        after, end = watched.cpu_times(), time.time()
        memory = watched.memory_full_info().pss / 1e6
    used = after.user + after.system - before.user - before.system
    scans, readings = asyncio.run(_count(around, begin, end))
    if not scans:
        log = (around.folder / "gateway.log").read_text("utf-8", "replace")
        raise RuntimeError(f"the gateway stored nothing in the measured time: {log[-2000:]}")
    return Work(used, memory, end - begin, scans, readings)


async def _tell(around: Servers, devices: list[Device]) -> None:
    """Put the devices' documents where the gateway looks for them, and nothing else."""
    client = await connection.connect(around.bus["launcher"], "bench")
    await client.jetstream().purge_stream(subjects.STREAM)
    bucket = await connection.ensure_bucket(client.jetstream())
    for device in devices:
        await bucket.put(subjects.device_key(1, device.number), msgspec.json.encode(device))
    await client.close()


async def _count(around: Servers, begin: float, end: float) -> tuple[int, int]:
    """Return how many scans and readings of these instants (s since 1970) stand in the stream."""
    client = await connection.connect(around.bus["launcher"], "bench")
    jetstream = client.jetstream()
    reader = await jetstream.subscribe(subjects.STREAM_SUBJECTS, ordered_consumer=True)
    scans = readings = 0
    for _ in range((await jetstream.stream_info(subjects.STREAM)).state.messages):
        message = await reader.next_msg(timeout=10)
        found = decode(message.data).scans
        received = found.received / 1e6
        within = (received >= begin) & (received < end)
        scans += int(within.sum())
        readings += int(np.diff(found.offsets)[within].sum())
    await client.close()
    return scans, readings
