"""Each protocol's own notion of a session and of freshness becomes the state that DESIGN §4 names.

A real room hears real equipment; what it tells goes through the gateway's collector into the watch that ingest keeps.
Each row says what equipment does, the state then, and the state after a whole window of silence.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import Server, ua
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from deploy import nats
from deploy.child import running
from gateway.adapter import Workplace, protocols
from gateway.collector import Collector
from gateway.slots import scans_of
from muster.clock import SECOND_US, SystemClock
from muster.device import Device, ReportMode, Tag
from muster.presence import Definition, State
from muster.watch import Watch
from simulators.modbus.ports import free_ports

CLOCK = SystemClock()
WINDOW_US = Definition().window_us(1.0)


class Bench:
    """One room with one device, and the watch of it."""

    def __init__(self, protocol: str, folder: Path, connection: dict[str, Any], mode: ReportMode) -> None:
        self.collector = Collector(1)
        now = CLOCK.now_us()
        self.collector.begin(now)
        self.watch = Watch(now)
        self.watch.keep(np.array([1], np.int32), np.array([WINDOW_US]))
        self.room = protocols()[protocol].create(self.collector, CLOCK, Workplace(1, "g", folder))
        address = {"path": "$.t"} if protocol == "mqtt" else {"node": "nsu=urn:test;s=T"}
        tags = [Tag(1, "t", "float64", address)]
        self.device = Device(1, 1, "d", "d", 1, protocol, connection, mode, 1.0, tags)

    def state(self) -> State:
        """Return the state now."""
        now = CLOCK.now_us()
        slot = self.collector.cut(now)
        self.watch.advance(scans_of([slot]), slot.events, now)
        return self.watch.state_of(1)

    def after_silence(self) -> State:
        """Return the state that a whole window without a sign would bring."""
        self.state()
        later = Watch.from_bytes(self.watch.to_bytes())
        later.advance(scans_of([]), [], CLOCK.now_us() + WINDOW_US + SECOND_US)
        return later.state_of(1)

    async def becomes(self, state: State) -> None:
        """Wait until the device is in this state."""
        async with asyncio.timeout(20):
            while self.state() is not state:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.room.run())
    try:
        await bench.room.configure({1: bench.device})
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The embedded broker's port, and the file of the listener's password."""
    folder = tmp_path_factory.mktemp("broker")
    port, mqtt_port = free_ports(2)
    (folder / "secret").write_text("sesame")
    server = nats.Embedded(folder / "nats", port, 2**26, mqtt_port)
    with running(nats.prepare(server, dict.fromkeys(nats.MQTT_USERS, "sesame"))):
        asyncio.run(nats.ready(server))
        yield mqtt_port, folder / "secret"


class Press:
    """A publisher."""

    def __init__(self, port: int, name: str) -> None:
        self.root = f"plant/{name}"
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.client.username_pw_set("equipment", "sesame")
        self.client.will_set(f"{self.root}/status", b"offline", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def say(self, what: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(f"{self.root}/{what}", payload, qos=1, retain=retain).wait_for_publish(10)

    def value(self, behind_s: float = 0.0, value: object = 1.5, retain: bool = False) -> None:
        stamp = round((time.time() - behind_s) * 1000)
        self.say("data", json.dumps({"ts": stamp, "t": value}).encode(), retain)

    def cut(self) -> None:
        """End the connection without a farewell."""
        connection = self.client.socket()
        assert connection is not None
        self.client.loop_stop()
        connection.close()


async def online(press: Press) -> None:
    press.say("status", b"online")


async def heartbeat(press: Press) -> None:
    press.say("status", b"online")
    press.say("alive", b"1")


async def value(press: Press) -> None:
    press.say("status", b"online")
    press.value()


async def without_value(press: Press) -> None:
    press.say("status", b"online")
    press.value(value=None)


async def malformed(press: Press) -> None:
    press.say("status", b"online")
    press.say("data", b'{"ts": 12, "t"')


async def replayed(press: Press) -> None:
    press.say("status", b"online")
    for behind_s in (3600, 3599, 3598):
        press.value(behind_s)


async def slow_clock(press: Press) -> None:
    press.say("status", b"online")
    for _ in range(4):
        press.value(behind_s=3600)
        await asyncio.sleep(0.6)


async def value_then_cut(press: Press) -> None:
    await value(press)
    press.cut()


MQTT: list[tuple[Callable[[Press], Awaitable[None]], State, State]] = [
    (online, State.LINKED, State.LINKED),
    (heartbeat, State.RESPONDING, State.LINKED),
    (value, State.CONNECTED, State.LINKED),
    (without_value, State.RESPONDING, State.LINKED),
    (malformed, State.LINKED, State.LINKED),
    (replayed, State.RESPONDING, State.LINKED),
    (slow_clock, State.CONNECTED, State.LINKED),
    (value_then_cut, State.CONNECTED, State.OFFLINE),
]


@pytest.mark.parametrize(("does", "now", "silent"), MQTT, ids=[row[0].__name__ for row in MQTT])
async def test_mqtt(
    broker: tuple[int, Path],
    tmp_path: Path,
    does: Callable[[Press], Awaitable[None]],
    now: State,
    silent: State,
) -> None:
    port, secret = broker
    bench = Bench("mqtt", tmp_path, _published(port, secret, does.__name__), ReportMode.PERIODIC)
    async with working(bench):
        await _heard(bench)
        press = Press(port, does.__name__)
        try:
            await does(press)
            await bench.becomes(now)
            async with asyncio.timeout(20):
                while bench.after_silence() is not silent:
                    await asyncio.sleep(0.02)
        finally:
            press.client.loop_stop()


async def test_mqtt_retained_values_connect_nothing(broker: tuple[int, Path], tmp_path: Path) -> None:
    port, secret = broker
    press = Press(port, "retained")
    press.value(retain=True)
    bench = Bench("mqtt", tmp_path, _published(port, secret, "retained"), ReportMode.PERIODIC)
    async with working(bench), asyncio.timeout(20):
        while not bench.collector.scans:
            await asyncio.sleep(0.02)
        assert bench.state() < State.RESPONDING
        assert bench.after_silence() is State.OFFLINE
    press.client.loop_stop()


def _published(port: int, secret: Path, name: str) -> dict[str, Any]:
    return {
        "broker": {"host": "127.0.0.1", "port": port, "username": "listener", "password_file": str(secret)},
        "topic": f"plant/{name}/data",
        "payload": {"timestamp": {"path": "$.ts", "unit": "ms"}},
        "status": {"topic": f"plant/{name}/status"},
        "heartbeat": f"plant/{name}/alive",
    }


async def _heard(bench: Bench) -> None:
    """Wait until the room hears the device's topics: a discovery beside it takes as long."""
    await asyncio.sleep(1.5)


async def serve(port: int) -> tuple[Server, Any]:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:test")
    made = await server.nodes.objects.add_variable(ua.NodeId("T", index), f"{index}:T", 1.5)
    await server.start()
    return server, made


def _watched(port: int) -> dict[str, Any]:
    return {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "security": {"policy": "None", "mode": "none"},
        "backoff_max_s": 0.2,
    }


async def test_opcua_nobody_there_is_offline(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with working(Bench("opcua", tmp_path, _watched(port), ReportMode.ON_CHANGE)) as bench:
        await bench.becomes(State.OFFLINE)
        assert bench.after_silence() is State.OFFLINE


async def test_opcua_through_values_bad_quality_a_cut_and_a_restart(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server, _ = await serve(port)
    try:
        async with working(Bench("opcua", tmp_path, _watched(port), ReportMode.PERIODIC)) as bench:
            await bench.becomes(State.CONNECTED)
            assert bench.after_silence() is State.LINKED
            await server.stop()
            async with asyncio.timeout(20):
                while bench.after_silence() is not State.OFFLINE:
                    await asyncio.sleep(0.02)
            assert bench.state() is State.CONNECTED  # the last value is still fresh
            server, _ = await serve(port)
            async with asyncio.timeout(20):
                while bench.after_silence() is not State.LINKED:
                    await asyncio.sleep(0.02)
            await bench.becomes(State.CONNECTED)
    finally:
        await server.stop()


async def test_opcua_an_idle_machine_stays_connected_because_it_answers(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server, _ = await serve(port)
    try:
        async with working(Bench("opcua", tmp_path, _watched(port), ReportMode.ON_CHANGE)) as bench:
            await bench.becomes(State.CONNECTED)
            told = bench.collector.scans
            async with asyncio.timeout(20):
                while bench.collector.scans < told + 2:  # nothing changes: these are reads
                    await asyncio.sleep(0.05)
            assert bench.state() is State.CONNECTED
    finally:
        await server.stop()


async def test_opcua_bad_quality_is_an_answer_and_no_value(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server, place = await serve(port)
    bad = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadSensorFailure)))
    await server.write_attribute_value(place.nodeid, bad)
    try:
        async with working(Bench("opcua", tmp_path, _watched(port), ReportMode.ON_CHANGE)) as bench:
            await bench.becomes(State.RESPONDING)
            assert bench.after_silence() is State.LINKED
    finally:
        await server.stop()
