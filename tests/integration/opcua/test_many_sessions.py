"""A server with 200 devices is killed and begins anew: all are back, and their sessions did not come as a storm."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.adapter import Workplace
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from simulators.modbus.ports import free_ports
from tests.hearing import Seen
from tests.integration.opcua.test_session import Recorder
from tests.peers import npm

DEVICES = 200
CREATED_PER_SECOND = 2
_DEFAULT_TIMEOUT_MS = 4000


class FirstScans(Recorder):
    """Keeps when each device's first Good values came, in ms since 1970."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[int, float] = {}

    def keep(self, seen: Seen) -> None:
        if seen.quality is None:
            self.first.setdefault(seen.device, seen.received / 1000)


def press(number: int, port: int, own_sessions: int) -> Device:
    """Return a device; the first `own_sessions` differ in a setting of theirs, so that none shares a session."""
    connection: dict[str, Any] = {
        "url": f"opc.tcp://localhost:{port}",
        "security": {"policy": "Basic256Sha256", "mode": "sign_and_encrypt"},
        "root": f"nsu=urn:peer:node-opcua;s=Press-{number}",
        "timeout_ms": _DEFAULT_TIMEOUT_MS + (number if number <= own_sessions else 0),
    }
    tags = [Tag(at + 1, f"v{at}", "float64", {"node": f"{{root}}.Value{at}"}) for at in range(4)]
    return Device(number, 1, f"P-{number}", "press", 1, "opcua", connection, ReportMode.PERIODIC, 1.0, tags)


def told(log: Path, what: str) -> list[int]:
    """Return the instants, in ms since 1970, of a peer's lines that begin with `what`."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(f"{what} ")]


def most_in_a_second(instants_ms: list[int]) -> int:
    """Return how many instants lie at most in any 999 ms: the server's clock is rounded to a millisecond."""
    return max(sum(begin <= one < begin + 999 for one in instants_ms) for begin in instants_ms)


@pytest.mark.parametrize(
    "own_sessions",
    [9, pytest.param(59, marks=pytest.mark.long)],
)
@pytest.mark.timeout(600)
async def test_all_devices_are_back_after_a_kill_and_no_storm_of_sessions_came(
    tmp_path: Path, own_sessions: int
) -> None:
    (port,) = free_ports(1)
    arguments = (str(port), str(tmp_path / "pki"), str(DEVICES))
    sink = FirstScans()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    devices = {number: press(number, port, own_sessions) for number in range(1, DEVICES + 1)}

    async def all_seen() -> None:
        async with asyncio.timeout(60 + 3 * own_sessions):
            while len(sink.first) < DEVICES:
                await asyncio.sleep(0.1)

    try:
        first, second = tmp_path / "first.log", tmp_path / "second.log"
        with npm.script("node-opcua", "server.cjs", first, *arguments, end=signal.SIGKILL):
            await room.configure(devices)
            while not room.certificates():
                await asyncio.sleep(0.1)
            room.decide(room.certificates()[0].thumbprint, trust=True)
            await all_seen()
        async with asyncio.timeout(60):
            while len({e.device for e in sink.events if e.kind == "session_down"}) < DEVICES:
                await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        tasks = len(asyncio.all_tasks())
        sink.first.clear()
        with npm.script("node-opcua", "server.cjs", second, *arguments, end=signal.SIGKILL):
            await all_seen()
            (began,) = told(second, "ready")
            for log in (first, second):
                created = told(log, "session")
                print(f"{log.stem}: {len(created)} sessions, at most {most_in_a_second(created)} in a second")
                assert len(created) == own_sessions + 1
                assert most_in_a_second(created) <= CREATED_PER_SECOND
            print(
                f"all {DEVICES} back {max(sink.first.values()) / 1000 - began / 1000:.1f} s after the start"
            )
            print(f"tasks: {tasks} while it was away, {len(asyncio.all_tasks())} now")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
