"""A NATS server and a gateway process that can be killed, counting equipment, and the verdict over all of it."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.client import Client

from bus.connection import connect
from bus.settings import BusSettings
from deploy import nats as embedded
from deploy.child import options
from muster.errors import Unavailable
from tests.faults.answers import Verdict, compare
from tests.faults.gateway.equipment import Equipment
from tests.faults.gateway.road import (
    answers,
    everything,
    gap_events,
    gaps,
    stored_once,
    write_key,
)

GATEWAY = 3


RUNNER = Path(__file__).parent / "runner.py"


DEVICES = range(1, 13)


@dataclass
class Server:
    """A NATS server that can be killed and started again on its data."""

    folder: Path
    port: int
    secret: dict[str, str] = field(
        default_factory=lambda: {user: secrets.token_hex(8) for user in ("launcher", f"gateway-{GATEWAY}")}
    )
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = embedded.Embedded(self.folder / "nats", self.port, 1 << 28)
        command = embedded.prepare(server, self.secret)
        with command.log.open("ab") as log:
            self.process = subprocess.Popen(command.argv, **options(command, log))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def settings(self, user: str, port: int | None = None) -> BusSettings:
        file = self.folder / f"{user}.secret"
        file.write_text(self.secret[user])
        return BusSettings(url=f"nats://127.0.0.1:{port or self.port}", user=user, password_file=file)

    async def client(self) -> Client:
        async with asyncio.timeout(15):
            while True:
                try:
                    return await connect(self.settings("launcher"), "test")
                except Unavailable:
                    await asyncio.sleep(0.1)


@dataclass
class Process:
    """A gateway process on one outbox folder, started as often as it is killed."""

    folder: Path
    server: Server
    limit: Callable[[], None] | None = None
    extra: dict[str, object] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def outbox(self) -> Path:
        return Path(str(self.extra.get("outbox_dir", self.folder / "outbox")))

    def start(self) -> None:
        settings = {
            "gateway": GATEWAY,
            "name": "test",
            "bus": self.server.settings(f"gateway-{GATEWAY}").model_dump(mode="json"),
            "key_file": str(write_key(self.folder / "key.pem")),
            "outbox_dir": str(self.outbox),
            "rooms_dir": str(self.folder / "rooms"),
        } | self.extra
        path = self.folder / "gateway.json"
        path.write_text(json.dumps(settings))
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(RUNNER), "gateway", "--settings", str(path)],
                stderr=log,
                stdout=log,
                preexec_fn=self.limit,
            )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-3000:]
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, 20)
        assert code == 0, (self.folder / "gateway.log").read_text()[-3000:]

    def said(self, word: str) -> bool:
        return word in (self.folder / "gateway.log").read_text()


@dataclass
class Site:
    machines: Equipment
    server: Server
    gateway: Process

    async def polled(self, more: int, limit_s: float = 20) -> None:
        """Wait until the equipment has given so many more answers."""
        target = len(self.machines.given) + more
        async with asyncio.timeout(limit_s):
            while len(self.machines.given) < target:
                await asyncio.sleep(0.02)

    async def verdict(self) -> tuple[Verdict, list[tuple[str, float]]]:
        """Compare what was answered with what the stream holds, and list the gaps said (reason, seconds)."""
        client = await self.server.client()
        batches = stored_once(await everything(client))
        await client.close()
        said = sorted(
            {
                (event.reason, ((event.until or event.at) - event.at) / 1e6, event.at)
                for event in gap_events(batches)
            },
            key=lambda gap: gap[2],
        )
        # An answer is received a little after it was given; the last stop's gap is said by the next start.
        ended = max(batch.header.watched_until for batch in batches)
        given = [answer for answer in self.machines.given if answer.at_us < ended - 20_000]
        verdict = compare(self.machines.given, answers(batches), gaps(batches), slack_us=20_000)
        verdict.silent = [answer for answer in verdict.silent if answer in set(given)]
        return verdict, [(reason, length) for reason, length, _ in said]
