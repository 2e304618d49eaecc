"""The live stream over a real socket: count each second, states, reconnects, slow viewers, scopes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from api import process, tokens
from muster.errors import ConfigError
from tests.integration.api.plant import PROTOCOLS, Plant

Event = tuple[str, str, dict[str, Any]]


@pytest.fixture
async def address(plant: Plant, free_port: int) -> AsyncIterator[str]:
    """The address of the API process at work."""
    stop = asyncio.Event()
    settings = plant.settings().model_copy(update={"port": free_port})
    running = asyncio.create_task(process.run(settings, stop, PROTOCOLS))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as client:
        assert (await client.get("/healthz", timeout=20)).status_code == 200
    yield f"http://127.0.0.1:{free_port}"
    stop.set()
    await asyncio.wait_for(running, 10)


@asynccontextmanager
async def following(
    address: str, path: str = "/api/v1/live", **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    async with (
        httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as client,
        client.stream("GET", path) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"

        async def events() -> AsyncIterator[Event]:
            found: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    continue
                if line:
                    found[name] = value
                elif "data" in found:
                    yield found["event"], found["id"], json.loads(found["data"])
                    found = {}

        yield events()


async def collect(events: AsyncIterator[Event], counts: int) -> list[Event]:
    """Return what comes until `counts` counts have come."""
    found: list[Event] = []
    async for event in events:
        found.append(event)
        if sum(name == "count" for name, _, _ in found) == counts:
            break
    return found


async def test_a_snapshot_comes_first_then_a_count_each_second(address: str) -> None:
    async with following(address) as events:
        found = await collect(events, 3)
    assert found[0][0] == "states"
    assert found[0][2]["snapshot"] is True
    assert [entry[:2] for entry in found[0][2]["states"]] == [
        [1, "connected"],
        [2, "connected"],
        [3, "offline"],
        [4, "connected"],
    ]
    counts = [data for name, _, data in found if name == "count"]
    assert [count["rehearsal"]["connected"] for count in counts] == [3, 3, 3]
    assert counts[0]["official"]["connected"] == 1
    assert counts[0]["rehearsal"]["excluded_by_reason"] == {"excluded.offline": 1}
    assert counts[0]["rehearsal"]["window"]["median"] == 3
    assert counts[0]["at"] < counts[1]["at"] < counts[2]["at"]


async def test_only_what_changed_follows_the_snapshot(address: str, plant: Plant) -> None:
    async with following(address, "/live") as events:
        await collect(events, 1)
        plant.see(1, 3, "quality-bad", 0)
        plant.run("update device set retired_at = now() where id = 4")
        changes = []
        for _ in range(4):
            changes += [data for name, _, data in await collect(events, 1) if name == "states"]
    assert all(change["snapshot"] is False for change in changes)
    assert [entry[:2] for change in changes for entry in change["states"]] == [[1, "responding"]]
    assert [device for change in changes for device in change["gone"]] == [4]


async def test_a_viewer_that_reconnects_goes_on_where_it_was(address: str, plant: Plant) -> None:
    async with following(address) as staying:
        found = await collect(staying, 1)
        async with following(address, **{"Last-Event-ID": found[-1][1]}) as events:
            again = await collect(events, 1)
        assert not any(data.get("snapshot") for _, _, data in again)
        plant.see(2, 1, "timeout", 0)
        await collect(staying, 2)
        async with following(address, **{"Last-Event-ID": found[-1][1]}) as events:
            later = await collect(events, 1)
        assert [entry[:2] for entry in later[0][2]["states"]] == [[2, "offline"]]
        for stranger in ("other-1", "no number", f"{found[-1][1]}9999", "-1"):
            async with following(address, **{"Last-Event-ID": stranger}) as events:
                assert (await collect(events, 1))[0][2]["snapshot"] is True


async def test_a_viewer_that_does_not_keep_up_gets_the_newest_picture(address: str) -> None:
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with following(address) as quick:
            await collect(quick, 3)
        slow.settimeout(5)
        assert b"event: count" in await asyncio.to_thread(slow.recv, 1 << 20)


async def test_each_viewer_sees_its_enterprise_only(address: str, plant: Plant) -> None:
    token = await plant.token("yl")
    plant.scan(4, 1, [1.0])
    async with following(address, Authorization=f"Bearer {token}") as mine, following(address) as whole:
        seen = await collect(mine, 1)
        everything = await collect(whole, 1)
        assert [entry[0] for entry in seen[0][2]["states"]] == [1, 2, 3]
        assert [entry[0] for entry in everything[0][2]["states"]] == [1, 2, 3, 4]
        assert seen[-1][2]["frame"]["devices"] == 3
        assert seen[-1][2]["rehearsal"]["by_enterprise"] == {"yl": 2}
        plant.see(4, 1, "timeout", 0)
        assert not [event for event in await collect(mine, 3) if event[0] == "states"]


async def test_the_stream_ends_when_its_token_is_revoked(plant: Plant, address: str) -> None:
    number, token = await tokens.create(plant.database.owner, "wall")
    async with following(address, Authorization=f"Bearer {token}") as events:
        await collect(events, 1)
        await tokens.revoke(plant.database.owner, number)
        async with asyncio.timeout(15):
            assert len([event async for event in events]) < 20


async def test_the_process_stops_at_once_while_somebody_looks(plant: Plant, free_port: int) -> None:
    stop = asyncio.Event()
    settings = plant.settings().model_copy(update={"port": free_port})
    running = asyncio.create_task(process.run(settings, stop, PROTOCOLS))
    async with following(f"http://127.0.0.1:{free_port}") as events:
        await collect(events, 1)
        stop.set()
        assert len([event async for event in events]) < 5
        await asyncio.wait_for(running, 2.5)


async def test_a_taken_port_is_named(plant: Plant) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = plant.settings().model_copy(update={"port": port})
        with pytest.raises(ConfigError, match=str(port)):
            await process.run(settings, asyncio.Event(), PROTOCOLS)


async def test_a_database_that_went_away_silences_the_stream_until_it_is_back(
    plant: Plant, address: str
) -> None:
    async with following(address) as events:
        await collect(events, 1)
        plant.run("alter role muster_api nologin")
        plant.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'muster_api'")
        await asyncio.sleep(2.5)
        plant.run("alter role muster_api login")
        async with asyncio.timeout(30):
            assert (await collect(events, 2))[-1][2]["rehearsal"]["connected"] == 3
