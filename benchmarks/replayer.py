"""Publishes signed batches as many gateways would, in real time: the load of the ingest's growth curve.

Each gateway has up to 4,000 devices and seals every partition once a second, at an instant of its own. Every scan's
first value counts its seconds. All batches are made and signed before, into a file for each gateway. Runs as a process
of its own; says `ready` when they are made, and at its end, as JSON, how late its latest batch was.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.traffic import batches
from bus import connection
from bus.settings import BusSettings
from bus.subjects import PARTITIONS
from muster.clock import SECOND_US

PER_GATEWAY = 4000
"""So that a batch of one partition holds a thousand scans."""
_decode = msgspec.msgpack.Decoder(tuple[str, dict[str, str], bytes]).decode


def gateways(devices: int) -> list[range]:
    """Return the devices of each gateway, numbers from 1."""
    return [
        range(first, min(first + PER_GATEWAY, devices + 1)) for first in range(1, devices + 1, PER_GATEWAY)
    ]


def phase_us(gateway: int, count: int) -> int:
    """Return when within a second the `gateway`-th of `count`, from 1, seals."""
    return (gateway - 1) * SECOND_US // count


@dataclass(frozen=True, slots=True)
class Replay:
    """`seconds` seconds of `devices` with `tags` values each, from `begin_us` (µs since 1970) on."""

    devices: int
    tags: int
    begin_us: int
    seconds: int

    @contextmanager
    def running(
        self, folder: Path, bus: BusSettings, key: Ed25519PrivateKey
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the publisher for the block."""
        settings, private = folder / "replayer.json", folder / "replayer.key"
        settings.write_text(bus.model_dump_json(), "utf-8")
        private.write_bytes(key.private_bytes_raw())
        numbers = map(str, (self.devices, self.tags, self.begin_us, self.seconds))
        argv = [sys.executable, "-m", "benchmarks.replayer", str(settings), str(private), *numbers]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise RuntimeError("the publisher's batches were not ready when the replay was to begin")
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def late_s(self, process: subprocess.Popen[bytes]) -> float:
        """Wait for the publisher's end and return how late its latest batch was acknowledged.

        Raises:
            RuntimeError: it could not publish everything.
        """
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            raise RuntimeError("the publisher ended before its time")
        return float(json.loads(told)["late_s"])

    def make(self, folder: Path, key: Ed25519PrivateKey) -> None:
        """Write every gateway's batches in their order, each behind its length (4 bytes, big-endian), as msgpack."""
        fleet = gateways(self.devices)
        for number, members in enumerate(fleet, 1):
            made = batches(
                key,
                gateway=number,
                devices=list(members),
                tags=self.tags,
                start_us=self.begin_us + phase_us(number, len(fleet)),
                seconds=self.seconds,
                seed=number,
                counted=True,
            )
            with _file(folder, number).open("wb") as file:
                for batch in made:
                    packed = msgspec.msgpack.encode((batch.subject, batch.headers, batch.body))
                    file.write(len(packed).to_bytes(4, "big") + packed)

    async def publish(self, bus: BusSettings, folder: Path) -> float:
        """Publish everything that was made; return how late the latest batch was acknowledged, in s."""
        client = await connection.connect(bus, "bench")
        jetstream = client.jetstream()
        fleet = gateways(self.devices)

        async def one(number: int, members: range) -> float:
            start_us, latest_s = self.begin_us + phase_us(number, len(fleet)), 0.0
            with _file(folder, number).open("rb") as file:
                for second in range(1, self.seconds + 1):
                    due_s = start_us / 1e6 + second
                    await asyncio.sleep(max(0.0, due_s - time.time()))
                    async with asyncio.TaskGroup() as sealed:
                        for _ in range(min(PARTITIONS, len(members))):
                            subject, headers, body = _decode(file.read(int.from_bytes(file.read(4), "big")))
                            sealed.create_task(jetstream.publish(subject, body, headers=headers, timeout=30))
                    latest_s = max(latest_s, time.time() - due_s)
            return latest_s

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number, each)) for number, each in enumerate(fleet, 1)]
        await client.close()
        return max(task.result() for task in tasks)


def _file(folder: Path, gateway: int) -> Path:
    return folder / f"replay-{gateway}"


def main(settings: Path, private: Path, *numbers: str) -> None:
    """Replay as told: bus settings, raw private key, devices, tags, begin, seconds."""
    bus = BusSettings.model_validate_json(settings.read_text("utf-8"))
    key = Ed25519PrivateKey.from_private_bytes(private.read_bytes())
    replay, folder = Replay(*map(int, numbers)), settings.parent
    replay.make(folder, key)
    if time.time() * SECOND_US > replay.begin_us:
        raise RuntimeError("the batches were not made before the replay was to begin")
    print("ready", flush=True)
    late_s = asyncio.run(replay.publish(bus, folder))
    print(json.dumps({"late_s": late_s}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
