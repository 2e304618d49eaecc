"""The live stream before a crowd: many at once, some that never read, of several enterprises, after a restart."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from api import connection, process
from tests.integration.api.plant import PROTOCOLS, Plant

CROWD = 200


@asynccontextmanager
async def serving(plant: Plant, port: int) -> AsyncIterator[None]:
    """The API process at work on a port."""
    stop = asyncio.Event()
    settings = plant.settings().model_copy(update={"port": port})
    running = asyncio.create_task(process.run(settings, stop, PROTOCOLS))
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.05)
    writer.close()
    yield
    stop.set()
    await asyncio.wait_for(running, 10)


class Viewer:
    """A viewer over a bare socket. taken: all bytes of its stream so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.taken = b""

    @classmethod
    async def come(cls, port: int, token: str = "") -> "Viewer":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        credentials = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(f"GET /live HTTP/1.1\r\nHost: localhost\r\n{credentials}\r\n".encode())
        return cls(reader, writer)

    async def until(self, words: bytes, times: int = 1) -> None:
        """Read until `words` came so often."""
        async with asyncio.timeout(60):
            while self.taken.count(words) < times:
                piece = await self._reader.read(1 << 16)
                if not piece:
                    raise EOFError(self.taken[-200:].decode())
                self.taken += piece

    async def ended(self) -> None:
        """Read until the stream ends."""
        async with asyncio.timeout(60):
            while piece := await self._reader.read(1 << 16):
                self.taken += piece

    def leave(self) -> None:
        self._writer.close()

    @property
    def pause_ms(self) -> int:
        """How long it was told to stay away should the stream end."""
        found = re.search(rb"retry: (\d+)\n", self.taken)
        assert found is not None
        return int(found[1])


def drain(stuck: socket.socket) -> None:
    """Read what is left, until the end or an error."""
    while stuck.recv(1 << 20):
        pass


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def reach(name: str, value: float) -> None:
    async with asyncio.timeout(60):
        while metric(name) != value:
            await asyncio.sleep(0.05)


async def test_two_hundred_who_come_at_once_share_what_is_made_for_one(plant: Plant, free_port: int) -> None:
    async with serving(plant, free_port):
        first = await Viewer.come(free_port)
        await first.until(b"event: count")
        pictures, ticks = metric("muster_live_pictures_total"), metric("muster_live_tick_seconds_count")
        crowd = await asyncio.gather(*(Viewer.come(free_port) for _ in range(CROWD)))
        await asyncio.gather(*(viewer.until(b"event: count", 3) for viewer in crowd))
        assert metric("muster_live_viewers") == CROWD + 1
        made = metric("muster_live_pictures_total") - pictures
        seconds = metric("muster_live_tick_seconds_count") - ticks
        # a snapshot and the changes of each second, whoever looks; those who come in one second share its snapshot
        assert made <= 2 * (seconds + 2) < CROWD / 2
        assert all(viewer.taken.count(b'"snapshot":true') == 1 for viewer in crowd)
        for viewer in (first, *crowd):
            viewer.leave()
        await reach("muster_live_viewers", 0)


async def test_a_viewer_that_never_reads_is_cut_and_delays_nobody(
    plant: Plant, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.run(
        """insert into device (enterprise, gateway, code, name, device_class, protocol, connection)
        select 1, 1, 'M-' || n, 'M', 'operating', 'modbus', '{}' from generate_series(1, 20000) n"""
    )
    monkeypatch.setattr(connection, "PATIENCE_S", 1.0)
    cut = metric("muster_http_cut_total")
    async with serving(plant, free_port):
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", free_port))
            stuck.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            quick = await Viewer.come(free_port)
            await reach("muster_http_cut_total", cut + 1)
            await quick.until(b"event: count", quick.taken.count(b"event: count") + 2)
            await reach("muster_live_viewers", 1)
            stuck.settimeout(20)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(drain, stuck)
        quick.leave()


async def test_in_a_crowd_nobody_sees_anything_of_another_enterprise(plant: Plant, free_port: int) -> None:
    mine, other = await plant.token("yl"), await plant.token("other")
    async with serving(plant, free_port):
        crowd = await asyncio.gather(*(Viewer.come(free_port, (mine, other, "")[n % 3]) for n in range(60)))
        await asyncio.gather(*(viewer.until(b"event: count") for viewer in crowd))
        plant.see(4, 1, "timeout", 0)
        plant.see(1, 1, "timeout", 0)
        told = {0: b'[1,"offline"', 1: b'[4,"offline"', 2: b'[4,"offline"'}
        await asyncio.gather(*(viewer.until(told[n % 3]) for n, viewer in enumerate(crowd)))
        for n, viewer in enumerate(crowd):
            seen, enterprises = set(), set()
            for line in viewer.taken.splitlines():
                if line.startswith(b"data: ") and line.endswith(b"}"):
                    data = json.loads(line[6:])
                    seen |= {entry[0] for entry in data.get("states", ())} | set(data.get("gone", ()))
                    enterprises |= set(data.get("rehearsal", {}).get("by_enterprise", ()))
            assert seen == ({1, 2, 3}, {4}, {1, 2, 3, 4})[n % 3]
            assert enterprises == ({"yl"}, {"other"}, {"yl", "other"})[n % 3]
            viewer.leave()


async def test_after_a_restart_a_crowd_comes_back_one_after_another(plant: Plant, free_port: int) -> None:
    async with serving(plant, free_port):
        crowd = await asyncio.gather(*(Viewer.come(free_port) for _ in range(CROWD)))
        await asyncio.gather(*(viewer.until(b"event: count") for viewer in crowd))
        stopping = asyncio.gather(*(viewer.ended() for viewer in crowd))
    await stopping
    for viewer in crowd:
        viewer.leave()
    pauses = [viewer.pause_ms for viewer in crowd]
    # no tenth of the time in which they come back sees more than a quarter of them
    fullest = max(sum(start <= pause < start + 500 for pause in pauses) for start in range(1000, 6000, 500))
    assert min(pauses) >= 1000
    assert fullest < CROWD / 4
    pictures = metric("muster_live_pictures_total")
    async with serving(plant, free_port):
        again = await asyncio.gather(*(Viewer.come(free_port) for _ in range(CROWD)))
        await asyncio.gather(*(viewer.until(b'"snapshot":true') for viewer in again))
        assert metric("muster_live_pictures_total") - pictures < CROWD / 4
        for viewer in again:
            viewer.leave()
