"""A real gateway process and a real NATS server, killed at random moments: no answer is lost in silence.

The equipment counts its answers. Each must be in the stream once and in order, or lie inside a gap that the
gateway said; and a gap of a kill must be short.
"""

import asyncio
import json
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.client import Client

from bus.connection import connect
from bus.settings import BusSettings
from deploy import nats as embedded
from deploy.child import options
from muster.errors import Unavailable
from tests.faults.answers import Verdict, compare
from tests.faults.gateway.equipment import Equipment, equipment
from tests.faults.gateway.road import (
    answers,
    everything,
    gap_events,
    gaps,
    lay,
    put,
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


@pytest.fixture
async def site(tmp_path: Path, free_port: int) -> AsyncIterator[Site]:
    server = Server(tmp_path, free_port)
    server.start()
    async with equipment() as machines:
        made = Site(machines, server, Process(tmp_path, server))
        client = await server.client()
        await lay(client)
        await put(client, GATEWAY, {number: machines.document(number) for number in DEVICES})
        await client.close()
        yield made
        for process in (made.gateway.process, server.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


async def test_a_gateway_killed_again_and_again_says_each_gap_and_loses_nothing_else(site: Site) -> None:
    chance = random.Random(6)
    for _ in range(5):
        site.gateway.start()
        await site.polled(40)
        await asyncio.sleep(chance.uniform(0, 0.8))
        site.gateway.kill()
    site.gateway.start()
    await site.polled(60)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-down"] * 5
    assert verdict.listed <= 5 * 3 * len(DEVICES), "a kill loses the slot it was in, not more"


async def test_nats_killed_under_load_loses_nothing_and_makes_no_gap(site: Site) -> None:
    site.gateway.start()
    chance = random.Random(7)
    for _ in range(3):
        await site.polled(150)
        await asyncio.sleep(chance.uniform(0, 0.5))
        site.server.kill()
        await site.polled(250)
        site.server.start()
    await site.polled(600)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert said == []
    assert verdict.stored >= len(site.machines.given) - len(DEVICES)


async def test_documents_are_followed_again_after_nats_was_killed(site: Site) -> None:
    site.gateway.start()
    await site.polled(50)
    site.server.kill()
    await asyncio.sleep(1)
    site.server.start()
    client = await site.server.client()
    await put(client, GATEWAY, {50: site.machines.document(50)})
    await client.close()
    async with asyncio.timeout(10):
        while site.machines.counts[50] < 3:
            await asyncio.sleep(0.05)
    await site.gateway.stop()


@pytest.mark.long
async def test_credentials_that_are_refused_stop_no_acquisition_and_are_tried_again(site: Site) -> None:
    """The server comes back with another password; the gateway's file is changed later."""
    site.gateway.start()
    await site.polled(50)
    site.server.kill()
    site.server.secret[f"gateway-{GATEWAY}"] = "another"
    site.server.start()
    async with asyncio.timeout(30):
        while not site.gateway.said("credentials are refused"):
            await asyncio.sleep(0.1)
    await site.polled(200)
    site.server.settings(f"gateway-{GATEWAY}")
    client = await site.server.client()
    async with asyncio.timeout(30):
        while len(answers(stored_once(await everything(client)))) < 300:
            await asyncio.sleep(0.5)
    await client.close()
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert said == []


async def test_gateway_and_nats_killed_together_while_the_outbox_is_full_of_old_batches(site: Site) -> None:
    site.gateway.start()
    await site.polled(100)
    site.server.kill()
    await site.polled(700)
    site.gateway.kill()
    site.gateway.start()
    await site.polled(300)
    site.gateway.kill()
    site.server.start()
    site.gateway.start()
    await site.polled(700)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-down"] * 2


async def test_acknowledgements_that_are_lost_double_nothing(site: Site) -> None:
    """A relay carries batches to the server and, now and then, cuts the line before the answer passes."""
    chance = random.Random(8)
    cuts = 0

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cuts
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", site.server.port)

        async def down() -> None:
            while data := await up_reader.read(65536):
                if b"seq" in data and chance.random() < 0.1:
                    return
                writer.write(data)

        async def up() -> None:
            while data := await reader.read(65536):
                up_writer.write(data)

        tasks = [asyncio.create_task(down()), asyncio.create_task(up())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            cuts += tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()
            up_writer.close()
            writer.close()

    relay = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with relay:
        port = relay.sockets[0].getsockname()[1]
        site.gateway.extra["bus"] = site.server.settings(f"gateway-{GATEWAY}", port).model_dump(mode="json")
        site.gateway.start()
        async with asyncio.timeout(60):
            while cuts < 4:
                await asyncio.sleep(0.1)
        await site.gateway.stop()
    del site.gateway.extra["bus"]
    site.gateway.start()
    await site.polled(200)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-stopped"]


async def test_a_full_outbox_pauses_polling_and_the_gap_is_said(site: Site) -> None:
    site.gateway.extra["outbox_limit_bytes"] = 1 << 17
    site.gateway.start()
    await site.polled(100)
    site.server.kill()
    async with asyncio.timeout(60):
        while not site.gateway.said("acquisition-paused"):
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    paused_at = len(site.machines.given)
    await asyncio.sleep(3)
    assert len(site.machines.given) == paused_at
    site.server.start()
    await site.polled(200)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["outbox-full"]


async def test_a_full_disk_pauses_polling_and_nothing_polled_is_lost(site: Site, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        site.gateway.extra["outbox_dir"] = str(disk / "outbox")
        site.gateway.start()
        await site.polled(100)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as other:
            try:
                while True:
                    other.write(b"x" * 4096)
            except OSError:
                pass
        async with asyncio.timeout(30):
            while not site.gateway.said("acquisition-paused"):
                await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        filler.unlink()
        await site.polled(300)
        await site.gateway.stop()
        verdict, said = await site.verdict()
        assert verdict.sound, verdict
        assert [reason for reason, _ in said] == ["outbox-unwritable"]
    finally:
        if site.gateway.process is not None and site.gateway.process.poll() is None:
            site.gateway.kill()
        subprocess.run(["umount", str(disk)], check=True)


async def test_a_limit_on_file_size_is_met_like_a_full_disk(site: Site) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

    site.gateway.limit = limit
    site.gateway.start()
    async with asyncio.timeout(60):
        while not site.gateway.said("acquisition-paused"):
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    site.gateway.kill()
    site.gateway.limit = None
    site.gateway.start()
    await site.polled(100)
    await site.gateway.stop()
    verdict, _ = await site.verdict()
    assert verdict.sound, verdict


async def test_a_stopped_process_that_goes_on_does_not_claim_the_time_in_between(site: Site) -> None:
    site.gateway.start()
    await site.polled(100)
    assert site.gateway.process is not None
    site.gateway.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(6)
    site.gateway.process.send_signal(signal.SIGCONT)
    await site.polled(100)
    began = time.monotonic()
    await site.gateway.stop()
    assert time.monotonic() - began < 10
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    ((reason, length),) = said
    assert reason == "gateway-stalled"
    assert 5 < length < 8
