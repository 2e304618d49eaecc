"""A session with a real server: changes come, writes read back, a restart is survived and listed."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from asyncua import Server, ua

from gateway.adapter import Workplace
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.errors import RequestError
from muster.scans import How
from simulators.modbus.ports import free_ports
from tests.hearing import Hearing, Seen


class Recorder(Hearing[tuple[int, list[float], How]]):
    """Keeps scans as device, values and how they came."""

    def keep(self, seen: Seen) -> None:
        self.scans.append((seen.device, seen.value.tolist(), seen.how))


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


async def until(said: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
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


async def test_a_method_with_an_argument_is_given_the_value_in_its_own_type() -> None:
    (port,) = free_ports(1)
    server = await serve(port)
    node = ua.NodeId("T", 2)
    heard: list[ua.Variant] = []

    async def obey(_: ua.NodeId, value: ua.Variant) -> list[ua.Variant]:
        heard.append(value)
        await server.write_attribute_value(node, ua.DataValue(ua.Variant(float(value.Value))))
        return []

    for name, kinds in (("Set", [ua.VariantType.Int16]), ("Mix", [ua.VariantType.Int16] * 2)):
        await server.nodes.objects.add_method(ua.NodeId(name, 2), f"2:{name}", obey, kinds, [])
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", Path("unused")))
    running = asyncio.create_task(room.run())
    named = "nsu=urn:test;s="
    tags = [
        Tag(at, name, "int16", {"node": f"{named}T", "call": {"method": f"{named}{name}"}}, writable=True)
        for at, name in enumerate(("Set", "Mix"), 1)
    ]
    connection = {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "security": {"policy": "None", "mode": "none"},
    }
    try:
        await room.configure(
            {1: Device(1, 1, "P", "P", 1, "opcua", connection, ReportMode.PERIODIC, 0.2, tags)}
        )
        await until(lambda: room.diagnostics(1).session == "up")
        await room.write(1, 1, 42)
        assert [(one.Value, one.VariantType) for one in heard] == [(42, ua.VariantType.Int16)]
        with pytest.raises(RequestError, match="2 arguments"):
            await room.write(1, 2, 1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()
