"""Outbox, disk or file size at their limit: polling pauses, the gap is said, and nothing that was polled is lost."""

import asyncio
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.gateway.works import Site


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
