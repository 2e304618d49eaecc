"""A server of OPC UA and a unit of Modbus, both behind a line that can be cut: what may happen to them."""

import struct
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from muster.device import ReportMode
from muster.presence import State
from tests.integration.modbus.equipment import equipment, frame, honest
from tests.integration.presence.bench import Bench
from tests.integration.presence.relay import Relay


class Machine:
    """A server with one variable, `T`."""

    mode = ReportMode.PERIODIC

    def __init__(self, port: int) -> None:
        self._port = port
        self._relay = Relay(port)
        self._server = Server()
        self._place: Any = None

    async def begin(self) -> None:
        self._server = Server()
        await self._server.init()
        self._server.set_endpoint(f"opc.tcp://127.0.0.1:{self._port}")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self._server.register_namespace("urn:test")
        self._place = await self._server.nodes.objects.add_variable(ua.NodeId("T", index), f"{index}:T", 1.5)
        await self._server.start()
        await self._relay.open()

    def bench(self, folder: Path) -> Bench:
        connection = {
            "url": f"opc.tcp://127.0.0.1:{self._relay.port}",
            "security": {"policy": "None", "mode": "none"},
            "backoff_max_s": 0.2,
            "timeout_ms": 500,
        }
        return Bench("opcua", folder, connection, {"node": "nsu=urn:test;s=T"}, self.mode)

    async def end(self) -> None:
        await self._relay.cut()
        await self._server.stop()

    async def value(self, bench: Bench) -> None:
        await bench.becomes(State.CONNECTED)

    async def nobody(self, bench: Bench) -> None:
        await self._relay.cut()

    async def restart(self, bench: Bench) -> None:
        await self.cut(bench)
        await self._server.stop()
        await self.begin()

    async def cut(self, bench: Bench) -> None:
        await self.value(bench)
        await self._relay.cut()
        await bench.becomes(State.CONNECTED, State.OFFLINE)

    async def silence(self, bench: Bench) -> None:
        await self.value(bench)
        self._relay.hush()

    async def without_value(self, bench: Bench) -> None:
        bad = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadSensorFailure)))
        await self._server.write_attribute_value(self._place.nodeid, bad)


class IdleMachine(Machine):
    """A server whose variable never changes, of a device that reports changes only."""

    mode = ReportMode.ON_CHANGE

    async def idle(self, bench: Bench) -> None:
        await bench.becomes(State.CONNECTED)
        told = bench.collector.scans
        await bench.until(lambda: bench.collector.scans >= told + 2)  # nothing changes: these are reads


class Unit:
    """A unit of Modbus TCP that answers honestly, with an exception, with garbage, or not at all."""

    def __init__(self) -> None:
        self._reply = honest
        self._relay = Relay(0)
        self._serving: Any = None

    async def begin(self) -> None:
        self._serving = equipment(lambda *asked: self._reply(*asked))
        self._relay = Relay(await self._serving.__aenter__())
        await self._relay.open()

    def bench(self, folder: Path) -> Bench:
        connection = {
            "transport": "tcp",
            "host": "127.0.0.1",
            "port": self._relay.port,
            "timeout_ms": 300,
        }
        address = {"table": "holding", "register": 0}
        return Bench("modbus", folder, connection, address, ReportMode.POLLED, "uint16")

    async def end(self) -> None:
        await self._relay.cut()
        await self._serving.__aexit__(None, None, None)

    async def value(self, bench: Bench) -> None:
        await bench.becomes(State.CONNECTED)

    async def idle(self, bench: Bench) -> None:
        await self.value(bench)
        told = bench.collector.scans
        await bench.until(lambda: bench.collector.scans >= told + 2)

    async def nobody(self, bench: Bench) -> None:
        await self._relay.cut()

    async def restart(self, bench: Bench) -> None:
        await self.cut(bench)
        await self._relay.open()

    async def cut(self, bench: Bench) -> None:
        await self.value(bench)
        await self._relay.cut()
        await bench.becomes(State.CONNECTED, State.OFFLINE)

    async def silence(self, bench: Bench) -> None:
        await self.value(bench)
        self._relay.hush()
        before = bench.told("session_down")
        await bench.until(lambda: bench.told("session_down") > before)

    async def ping_only(self, bench: Bench) -> None:
        self._reply = lambda transaction, unit, pdu: frame(transaction, unit, bytes([pdu[0] | 0x80, 4]))

    async def malformed(self, bench: Bench) -> None:
        self._reply = lambda transaction, unit, pdu: frame(
            transaction, unit, bytes([pdu[0], 4]) + struct.pack(">HH", 7, 7)
        )
        await bench.until(lambda: bench.told("error") > 0)
