"""A session with a real server: changes come, writes read back, a restart is survived and listed."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
from asyncua import Server, ua
from numpy.typing import NDArray

from gateway.adapter import Workplace
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.events import Event, TextReading
from muster.scans import How


class Recorder:
    """A sink that keeps scans and events."""

    def __init__(self) -> None:
        self.scans: list[tuple[int, list[float], How]] = []
        self.events: list[Event] = []
        self.full = False
        self.sealed = 0

    def scan(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        self.scans.append((device, value.tolist(), how))

    def text(self, reading: TextReading) -> None: ...

    def event(self, event: Event) -> None:
        self.events.append(event)

    def mark(self) -> int | None:
        return 1

    def watch_sealed(self, told: Callable[[int], None]) -> Callable[[], None]:
        return lambda: None


async def serve(port: int) -> Server:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:test")
    made = await server.nodes.objects.add_variable(ua.NodeId("T", index), f"{index}:T", 1.5)
    await made.set_writable()
    await server.start()
    return server


async def until(said: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not said():
            await asyncio.sleep(0.02)


async def test_changes_come_writes_read_back_and_a_restart_is_a_gap(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path))
    connection = {"url": f"opc.tcp://127.0.0.1:{port}", "security": {"policy": "None", "mode": "none"}}
    tags = [Tag(1, "t", "float64", {"node": "nsu=urn:test;s=T"}, writable=True)]
    device = Device(1, 1, "d", "d", 1, "opcua", connection, ReportMode.PERIODIC, 0.2, tags)
    server = await serve(port)
    running = asyncio.create_task(room.run())
    try:
        await room.configure({1: device})
        await until(lambda: (1, [1.5], How.UNSOLICITED) in sink.scans)
        assert (await room.write(1, 1, 2.5)).value == 2.5
        await until(lambda: (1, [2.5], How.UNSOLICITED) in sink.scans)
        await server.stop()
        await until(lambda: any(event.kind == "session_down" for event in sink.events))
        sink.scans.clear()
        server = await serve(port)
        await until(lambda: (1, [1.5], How.UNSOLICITED) in sink.scans)
        kinds = {event.kind for event in sink.events}
        assert {"session_up", "identity", "clock", "gap"} <= kinds
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()
