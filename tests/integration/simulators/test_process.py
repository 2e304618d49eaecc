"""The simulators' process and its control."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from muster.errors import ConfigError, RequestError, Unavailable
from simulators.control import order
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.modbus.ports import free_ports
from simulators.process import run
from simulators.settings import Settings
from tests.integration.simulators.fleets import read_of, wire

DEVICES = 30
TOKEN = "a secret 密"


def settings(folder: Path, **changed: Any) -> Settings:
    token_file = folder / "token"
    token_file.write_text(TOKEN + "\n", "utf-8")
    control, monitored, *ports = free_ports(endpoint_count(DEVICES) + 2)
    given = {
        "devices": DEVICES,
        "ports": ports,
        "control_port": control,
        "monitor_port": monitored,
        "token_file": token_file,
        "step_s": 0.05,
    }
    return Settings.model_validate({**given, **changed})


@asynccontextmanager
async def running(given: Settings) -> AsyncIterator[Settings]:
    stop = asyncio.Event()
    process = asyncio.create_task(run(given, stop))
    try:
        async with asyncio.timeout(20):
            while not process.done():
                try:
                    await order(given.control_port, TOKEN, {"do": "faults"})
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        yield given
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await process


async def fetch(port: int | None, path: str) -> str:
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    said = (await reader.read()).decode()
    writer.close()
    return said


async def test_a_fault_is_ordered_listed_and_restored(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as given:
        station = lay_out(DEVICES, given.seed)[0]
        what = {"do": "fault", "kind": "half-open", "device": station.code, "for_s": 60}
        assert await order(given.control_port, TOKEN, what) == {"devices": [station.code]}
        listed = await order(given.control_port, TOKEN, {"do": "faults"})
        assert listed == {
            "faults": [{"device": station.code, "endpoint": 0, "port": given.ports[0], "kind": "half-open"}]
        }
        async with wire(given.ports[0]) as line:
            line.send(station.unit, read_of(station))
            assert await line.is_silent()
        assert await order(given.control_port, TOKEN, {"do": "restore"}) == {"devices": [station.code]}
        async with wire(given.ports[0]) as line:
            assert await line.ask(station.unit, read_of(station))


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"do": "explode"}, "simulator-bad-order"),
        ({"do": "fault"}, "simulator-bad-order"),
        ({"do": "fault", "kind": "tired"}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "for_s": "long"}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "for_s": -1}, "simulator-bad-order"),
        ({"do": "fault", "kind": "slow", "delay_s": 1e300}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "endpoint": "one"}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "device": "P-001", "endpoint": 1}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "colour": "red"}, "simulator-bad-order"),
        ({"do": "fault", "kind": "drop", "device": "X-1"}, "simulator-unknown-device"),
        ({"do": "restore", "endpoint": 400}, "simulator-unknown-endpoint"),
    ],
)
async def test_a_wrong_order_is_refused_by_name_and_changes_nothing(
    tmp_path: Path, what: dict[str, Any], code: str
) -> None:
    async with running(settings(tmp_path)) as given:
        with pytest.raises(RequestError) as refused:
            await order(given.control_port, TOKEN, what)
        assert refused.value.code == code
        assert refused.value.status == (404 if "unknown" in code else 400)
        assert await order(given.control_port, TOKEN, {"do": "faults"}) == {"faults": []}


async def test_nobody_without_the_token_orders_anything(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as given:
        for wrong in ("", "guess", "错"):
            with pytest.raises(RequestError) as refused:
                await order(given.control_port, wrong, {"do": "fault", "kind": "refuse"})
            assert refused.value.code == "simulator-wrong-token"


async def test_what_is_no_order_is_answered_or_closed_and_the_next_caller_is_served(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as given:
        for line in (b"\n", b"\xff\xfe\n", b"[1]\n", b"{" + b" " * 100_000 + b"\n", b"half an order"):
            reader, writer = await asyncio.open_connection("127.0.0.1", given.control_port)
            writer.write(line)
            writer.write_eof()
            said = await reader.read()
            assert said == b"" or "error" in json.loads(said)
            writer.close()
        assert await order(given.control_port, TOKEN, {"do": "faults"}) == {"faults": []}


async def test_health_and_figures_are_shown(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as given:
        station = lay_out(DEVICES, given.seed)[0]
        async with wire(given.ports[0]) as line:
            await line.ask(station.unit, read_of(station))
            figures = await fetch(given.monitor_port, "/metrics")
        assert "muster_simulator_requests_total 1.0" in figures
        assert f"muster_simulator_devices {DEVICES:.1f}" in figures
        assert f"muster_simulator_endpoints_listening {endpoint_count(DEVICES):.1f}" in figures
        assert '"status":"ok"' in await fetch(given.monitor_port, "/healthz")


async def test_it_starts_again_on_the_same_ports_while_a_client_still_hangs_on(tmp_path: Path) -> None:
    given = settings(tmp_path)
    station = lay_out(DEVICES, given.seed)[0]
    async with running(given), wire(given.ports[0]) as line:
        await line.ask(station.unit, read_of(station))
        hanging = line
    async with running(given), wire(given.ports[0]) as line:
        assert await line.ask(station.unit, read_of(station))
    assert hanging is not line


async def test_a_fleet_without_enough_ports_or_a_token_does_not_start(tmp_path: Path) -> None:
    given = settings(tmp_path)
    with pytest.raises(ConfigError, match="30 devices have 12 endpoints, not 1"):
        await run(given.model_copy(update={"ports": given.ports[:1]}), asyncio.Event())
    with pytest.raises(ConfigError, match="token_file"):
        await run(given.model_copy(update={"token_file": tmp_path / "none"}), asyncio.Event())
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        await run(given.model_copy(update={"token_file": tmp_path / "empty"}), asyncio.Event())


async def test_a_port_that_is_taken_ends_the_start_with_its_name_and_leaves_none_open(tmp_path: Path) -> None:
    given = settings(tmp_path)
    thief = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", given.ports[5])
    async with thief:
        with pytest.raises(Unavailable, match=str(given.ports[5])):
            await run(given, asyncio.Event())
    async with running(given), wire(given.ports[0]):
        pass


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="colour"):
        settings(tmp_path, colour="red")
