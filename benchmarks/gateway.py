"""A whole gateway process under measurement: its documents, its CPU, and what left it.

What it acquired is counted in the stream, behind journal, outbox, signature and publisher: what is not there was not
done, and costs nothing in the figure's favour.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from numpy.typing import NDArray

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
    received meanwhile that stand in the stream; device: of those that begin with the first tag, `(n,)`; leading: their
    first two values, `(n, 2)`.
    """

    cpu_s: float
    memory_mb: float
    span_s: float
    scans: int
    readings: int
    device: NDArray[np.int32]
    leading: NDArray[np.float64]

    def lost(self, weights: tuple[float, float], step: float) -> int:
        """Return how many scans are missing in between: weights · leading counts by `step` at each device."""
        return missing(self.device, self.leading @ np.array(weights), step)


def missing(device: NDArray[np.int32], count: NDArray[np.float64], step: float = 1.0) -> int:
    """Return how many counts are missing between the first and the last of each device; both `(n,)`."""
    order = np.lexsort((count, device))
    device, count = device[order], count[order]
    between = np.round(np.diff(count) / step) - 1
    return int(between[(np.diff(device) == 0) & (between > 0)].sum())


def work(around: Servers, devices: list[Device], settle_s: float, seconds: float) -> Work:
    """Run gateway 1 with these devices and return what it did after it settled.

    Raises:
        RuntimeError: nothing of that time stands in the stream.
    """
    asyncio.run(tell(around, devices))
    with running(command(around, Ed25519PrivateKey.generate())) as process:
        time.sleep(settle_s)
        watched = psutil.Process(process.pid)
        before, begin = watched.cpu_times(), time.time()
        time.sleep(seconds)
        after, end = watched.cpu_times(), time.time()
        memory = watched.memory_full_info().pss / 1e6
    used = after.user + after.system - before.user - before.system
    found = asyncio.run(_count(around, begin, end))
    if not found.scans:
        log = (around.folder / "gateway.log").read_text("utf-8", "replace")
        raise RuntimeError(f"the gateway stored nothing in the measured time: {log[-2000:]}")
    return replace(found, cpu_s=used, memory_mb=memory)


def command(around: Servers, key: Ed25519PrivateKey) -> Command:
    """Return how gateway 1 is started, its settings written; it signs with `key`."""
    pem = around.folder / "gateway.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    outbox = around.folder / "outbox"
    outbox.mkdir(exist_ok=True)
    settings = Settings(
        gateway=1,
        name="bench",
        bus=around.bus["gateway-1"],
        key_file=pem,
        outbox_dir=outbox,
        rooms_dir=around.folder / "rooms",
    )
    file = around.folder / "gateway.json"
    file.write_text(settings.model_dump_json(), "utf-8")
    argv = [sys.executable, "-m", "deploy.process", "gateway", "--settings", str(file)]
    return Command("gateway", argv, around.folder / "gateway.log")


async def tell(around: Servers, devices: list[Device]) -> None:
    """Put the devices' documents where the gateway looks for them, and nothing else."""
    client = await connection.connect(around.bus["launcher"], "bench")
    await client.jetstream().purge_stream(subjects.STREAM)
    bucket = await connection.ensure_bucket(client.jetstream())
    for device in devices:
        await bucket.put(subjects.device_key(1, device.number), msgspec.json.encode(device))
    await client.close()


async def _count(around: Servers, begin: float, end: float) -> Work:
    """Return what of these instants (s since 1970) stands in the stream."""
    client = await connection.connect(around.bus["launcher"], "bench")
    jetstream = client.jetstream()
    reader = await jetstream.subscribe(subjects.STREAM_SUBJECTS, ordered_consumer=True)
    readings = 0
    scans = 0
    devices, leading = [np.empty(0, np.int32)], [np.empty((0, 2))]
    for _ in range((await jetstream.stream_info(subjects.STREAM)).state.messages):
        message = await reader.next_msg(timeout=10)
        found = decode(message.data).scans
        if len(found) == 0:
            continue
        received = found.received / 1e6
        within = (received >= begin) & (received < end)
        readings += int(np.diff(found.offsets)[within].sum())
        scans += int(within.sum())
        whole = np.flatnonzero(within & (found.first == 1))
        start, end_of = found.offsets[whole], found.offsets[whole + 1]
        devices.append(found.device[whole])
        leading.append(found.value[np.stack((start, np.minimum(start + 1, end_of - 1)), 1)])
    await client.close()
    return Work(0.0, 0.0, end - begin, scans, readings, np.concatenate(devices), np.concatenate(leading))
