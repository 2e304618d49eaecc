"""What a real server publishes: many types at once, and a notification that is lost on its way."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.ua.ua_binary import struct_from_binary

from gateway.adapter import Workplace
from gateway.adapters.opcua.line import Listener, Socket
from gateway.adapters.opcua.publishing import Publisher
from gateway.adapters.opcua.room import OpcuaRoom
from gateway.adapters.opcua.turns import TurnClient
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.scans import How
from simulators.modbus.ports import free_ports
from tests.integration.opcua.test_encrypted import certificate, working
from tests.integration.opcua.test_session import Recorder, until

KIND = ua.VariantType
VALUES: dict[str, tuple[str, Any, ua.VariantType]] = {
    "Double": ("float64", 1.5, KIND.Double),
    "Float": ("float32", 0.25, KIND.Float),
    "Whole": ("int32", -7, KIND.Int32),
    "Running": ("bool", True, KIND.Boolean),
    "When": ("datetime", datetime(2026, 1, 1, tzinfo=UTC), KIND.DateTime),
    "Large": ("uint64", 2**53, KIND.UInt64),
    "Wrong": ("float64", "no number", KIND.String),
}


@asynccontextmanager
async def watched(
    sink: Recorder, tmp_path: Path, names: list[str]
) -> AsyncIterator[tuple[OpcuaRoom, Server]]:
    """A server with those variables and a room that watches them."""
    (port,) = free_ports(1)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:test")
    for name in names:
        _, value, kind = VALUES[name]
        await server.nodes.objects.add_variable(ua.NodeId(name, index), f"{index}:{name}", value, kind)
    await server.start()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path))
    running = asyncio.create_task(room.run())
    connection = {"url": f"opc.tcp://127.0.0.1:{port}", "security": {"policy": "None", "mode": "none"}}
    tags = [
        Tag(at, name, VALUES[name][0], {"node": f"nsu=urn:test;s={name}"}) for at, name in enumerate(names, 1)
    ]
    try:
        await room.configure(
            {1: Device(1, 1, "d", "d", 1, "opcua", connection, ReportMode.PERIODIC, 0.2, tags)}
        )
        yield room, server
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()


async def write(server: Server, name: str, value: Any, at: datetime) -> None:
    kind = VALUES[name][2]
    data = ua.DataValue(ua.Variant(value, kind), SourceTimestamp=at, ServerTimestamp=at)
    await server.write_attribute_value(ua.NodeId(name, 2), data)


async def test_values_of_all_types_that_change_together_are_one_scan(tmp_path: Path) -> None:
    sink = Recorder()
    async with watched(sink, tmp_path, list(VALUES)) as (_, server):
        await until(lambda: bool(sink.scans))
        sink.scans.clear()
        at = datetime(2026, 2, 3, tzinfo=UTC)
        changed = [0.5, -0.75, -8, False, at, 2**53 - 1, "none either"]
        for name, value in zip(VALUES, changed, strict=True):
            await write(server, name, value, at)
        wanted = [0.5, -0.75, -8.0, 0.0, at.timestamp(), 2.0**53 - 1]
        await until(lambda: any(values[:6] == wanted for _, values, _ in sink.scans))


async def test_a_notification_lost_on_the_way_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, lost = Recorder(), []
    take = Publisher.answered

    def lossy(publisher: Publisher, body: bytes, at: int) -> None:
        """Cut the first notification short that carries a 20."""
        if not lost and b"\x00\x00\x00\x00\x00\x004@" in body:
            lost.append(body)
            take(publisher, body[: len(body) // 2], at)
        else:
            take(publisher, body, at)

    monkeypatch.setattr(Publisher, "answered", lossy)
    async with watched(sink, tmp_path, ["Double"]) as (room, server):
        await until(lambda: (1, [1.5], How.UNSOLICITED) in sink.scans)
        for value in (10.0, 20.0, 30.0):
            await write(server, "Double", value, datetime.now(UTC))
            await asyncio.sleep(0.3)
        await until(lambda: (1, [20.0], How.UNSOLICITED) in sink.scans)
        assert len(lost) == 1
        assert room.diagnostics(1).session == "up"
        assert not [event for event in sink.events if event.kind == "gap"]


async def test_a_notification_that_the_server_no_longer_has_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, skipped = Recorder(), []
    count = Publisher._count

    def forgetful(publisher: Publisher, said: Any, since: int, received: int) -> None:
        """Take the third notification for the fifth."""
        if not skipped and said.sequence == 3:
            skipped.append(said)
            publisher._next = 1_000_000
        count(publisher, said, since, received)

    monkeypatch.setattr(Publisher, "_count", forgetful)
    async with watched(sink, tmp_path, ["Double"]) as (_, server):
        value = 0.0
        while not [event for event in sink.events if event.kind == "gap"]:
            value += 1
            await write(server, "Double", value, datetime.now(UTC))
            await asyncio.sleep(0.2)
        (gap,) = [event for event in sink.events if event.kind == "gap"]
        assert (gap.device, gap.reason) == (1, "opcua.notification-lost")
        assert gap.until is not None
        assert gap.at < gap.until
        await write(server, "Double", -5.0, datetime.now(UTC))
        await until(lambda: (1, [-5.0], How.UNSOLICITED) in sink.scans)


async def test_prepared_requests_are_what_asyncua_would_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    real = Socket.send

    def noted(socket: Socket, bodies: Sequence[bytes], listener: Listener) -> None:
        sent.extend(bodies)
        real(socket, bodies, listener)

    monkeypatch.setattr(Socket, "send", noted)
    async with watched(Recorder(), tmp_path, ["Double"]):
        await until(lambda: len(sent) > 6)
    requests = []
    for body in sent:
        kind = next(
            kind
            for kind, number in (
                (ua.PublishRequest, ua.ObjectIds.PublishRequest_Encoding_DefaultBinary),
                (ua.ReadRequest, ua.ObjectIds.ReadRequest_Encoding_DefaultBinary),
            )
            if body.startswith(b"\x01\x00" + number.to_bytes(2, "little"))
        )
        requests.append(struct_from_binary(kind, ua.utils.Buffer(body)))
        assert ua.ua_binary.struct_to_binary(requests[-1]) == body
    assert {type(request) for request in requests} == {ua.PublishRequest, ua.ReadRequest}
    assert len({request.RequestHeader.RequestHandle for request in requests}) == len(requests)
    acknowledged = [
        one.SequenceNumber
        for request in requests
        if isinstance(request, ua.PublishRequest)
        for one in request.Parameters.SubscriptionAcknowledgements
    ]
    assert acknowledged[:1] == [1]


async def test_a_notification_of_several_chunks_is_read_whole(tmp_path: Path) -> None:
    """2,500 first values at once are more than the 64 KiB of one chunk."""
    (port,) = free_ports(1)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:test")
    for at in range(2500):
        await server.nodes.objects.add_variable(ua.NodeId(f"v{at}", index), f"{index}:v{at}", at + 0.5)
    await server.start()
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path))
    running = asyncio.create_task(room.run())
    connection = {"url": f"opc.tcp://127.0.0.1:{port}", "security": {"policy": "None", "mode": "none"}}
    tags = [Tag(at + 1, f"v{at}", "float64", {"node": f"nsu=urn:test;s=v{at}"}) for at in range(2500)]
    try:
        await room.configure(
            {1: Device(1, 1, "d", "d", 1, "opcua", connection, ReportMode.PERIODIC, 2.0, tags)}
        )
        seen: set[float] = set()

        def all_came() -> bool:
            seen.update(value for _, values, _ in sink.scans for value in values)
            sink.scans.clear()
            return seen >= {at + 0.5 for at in range(2500)}

        await until(all_came)
        assert room.diagnostics(1).errors == {}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()


async def test_values_go_on_while_the_channels_keys_are_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = hashlib.sha1(certificate(tmp_path, "localhost")).hexdigest().upper()
    renewed: list[bool] = []
    real = TurnClient.open_secure_channel

    async def short_lived(client: TurnClient, renew: bool = False) -> None:
        client.secure_channel_timeout = 2000
        await real(client, renew)
        renewed.append(renew)

    monkeypatch.setattr(TurnClient, "open_secure_channel", short_lived)
    async with working(tmp_path) as bench:
        await bench.watch(server_certificate=pinned)
        await until(lambda: bool(bench.sink.scans))
        value = 0.0
        async with asyncio.timeout(20):
            while renewed.count(True) < 4:
                value += 1
                await bench.room.write(1, 1, value)
                await asyncio.sleep(0.1)
        await until(lambda: any(values == [value] for _, values, _ in bench.sink.scans))
        assert bench.reasons() == []
