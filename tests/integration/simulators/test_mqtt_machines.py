"""Simulated machines publish over a real broker, name themselves simulators, obey commands, and fail as asked."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from deploy import nats
from deploy.child import running
from muster.clock import SystemClock
from muster.errors import RequestError
from simulators.faults import Fault, FaultKind
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.modbus.ports import free_ports
from simulators.mqtt.link import Broker
from tests.integration.mqtt.brokers import mosquitto
from tests.integration.mqtt.brokers import publisher as connected

DEVICES = 440
"""The first fleet that reaches into a power room."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[nats.Embedded, dict[str, str]]]:
    """The embedded bus, which is the embedded broker as well."""
    port, mqtt_port = free_ports(2)
    passwords = {user: secrets.token_hex(8) for user in ("launcher", "ingest", *nats.MQTT_USERS)}
    embedded = nats.Embedded(tmp_path_factory.mktemp("nats"), port, 2**26, mqtt_port)
    with running(nats.prepare(embedded, passwords)):
        asyncio.run(nats.ready(embedded))
        yield embedded, passwords


class Listener:
    """Another client of the broker, and what it heard."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{secrets.token_hex(4)}")
        self.client.username_pw_set(user, password)
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("muster-sim/#", qos=1)
        self.client.loop_start()

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def on(self, ending: str) -> list[tuple[str, bytes, bool]]:
        return [one for one in self.heard if one[0].endswith(ending)]


async def until(fits: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fits():
            await asyncio.sleep(0.02)


@pytest.fixture
async def listener(server: tuple[nats.Embedded, dict[str, str]]) -> AsyncIterator[Listener]:
    embedded, passwords = server
    assert embedded.mqtt_port is not None
    one = Listener(embedded.mqtt_port, "listener", passwords["listener"])
    await until(one.client.is_connected)
    yield one
    one.client.disconnect()
    one.client.loop_stop()


@pytest.fixture
async def fleet(
    server: tuple[nats.Embedded, dict[str, str]], listener: Listener, tmp_path: Path
) -> AsyncIterator[Fleet]:
    embedded, passwords = server
    assert embedded.mqtt_port is not None
    secret = tmp_path / "equipment.secret"
    secret.write_text(passwords["equipment"])
    broker = Broker(port=embedded.mqtt_port, username="equipment", password_file=secret)
    stations = lay_out(DEVICES, 1)
    ports = free_ports(endpoint_count(DEVICES))
    one = Fleet(stations, "127.0.0.1", ports, 1, SystemClock(), ("mqtt",), broker)
    for publisher in one.publishers:
        await publisher.open()
    sites = {f"{s.enterprise.code}/{s.site}" for s in stations if s.area.protocol == "mqtt"}
    await until(
        lambda: all(heard and heard[-1][1] == b"online" for heard in map(listener.on, map(status_of, sites)))
    )
    assert all(publisher.connections == 1 for publisher in one.publishers)
    yield one
    for publisher in one.publishers:
        await publisher.close()


def status_of(site: str) -> str:
    return f"{site}/status"


def meter(fleet: Fleet) -> str:
    return next(s.code for s in fleet.stations.values() if s.area.protocol == "mqtt")


async def say(fleet: Fleet, listener: Listener, code: str) -> list[tuple[str, bytes, bool]]:
    """Step once and return what one machine then says on its data topic."""
    before = len(listener.on(f"{code}/data"))
    fleet.step(1.0)
    await until(lambda: len(listener.on(f"{code}/data")) > before)
    return listener.on(f"{code}/data")[before:]


async def test_a_machine_publishes_its_points_and_that_it_is_simulated(
    fleet: Fleet, listener: Listener
) -> None:
    code = meter(fleet)
    ((_, payload, retained),) = await say(fleet, listener, code)
    said: dict[str, Any] = json.loads(payload)
    assert set(said["values"]) == {point.name for point in fleet.stations[code].kind.points}
    assert said["device"]["vendor"] == "Muster Simulator"
    assert said["device"]["serial_number"] == fleet.stations[code].serial_number
    assert not retained


async def test_faults_do_to_messages_what_they_say(fleet: Fleet, listener: Listener) -> None:
    code = meter(fleet)
    now = json.loads((await say(fleet, listener, code))[0][1])["ts"]
    for kind, check in {
        FaultKind.CLOCK_AHEAD: lambda p, r: json.loads(p)["ts"] > now + 3_500_000,
        FaultKind.CLOCK_BEHIND: lambda p, r: json.loads(p)["ts"] < now - 3_500_000,
        FaultKind.OVERSIZE: lambda p, r: len(p) > 300_000,
        FaultKind.SHORT_REPLY: lambda p, r: p.startswith(b'{"ts"') and not p.endswith(b"}"),
        FaultKind.EXCEPTION: lambda p, r: set(json.loads(p)["values"].values()) == {None},
    }.items():
        assert await fleet.faults.put(Fault(kind), device=code) == [code]
        assert all(check(payload, retained) for _, payload, retained in await say(fleet, listener, code)), (
            kind
        )
    await fleet.faults.put(Fault(FaultKind.HEARTBEAT), device=code)
    fleet.step(1.0)
    await until(lambda: bool(listener.on(f"{code}/alive")))
    with pytest.raises(RequestError):
        await fleet.faults.put(Fault(FaultKind.WRONG_FUNCTION), device=code)
    await fleet.faults.lift()
    assert json.loads((await say(fleet, listener, code))[0][1])["ts"] >= now


async def test_an_area_that_drops_leaves_its_will_and_comes_back(fleet: Fleet, listener: Listener) -> None:
    code = meter(fleet)
    station = fleet.stations[code]
    status = status_of(f"{station.enterprise.code}/{station.site}")
    await until(lambda: any(payload == b"online" for _, payload, _ in listener.on(status)))
    before = len(listener.on(status))
    await fleet.faults.put(Fault(FaultKind.DROP), endpoint=station.endpoint)
    fleet.step(1.0)
    await until(lambda: any(payload == b"offline" for _, payload, _ in listener.on(status)[before:]))
    await fleet.faults.lift()
    await until(lambda: listener.on(status)[-1][1] == b"online")


async def test_a_replay_says_the_same_bytes_with_the_same_time_again_and_again(
    fleet: Fleet, listener: Listener
) -> None:
    code = meter(fleet)
    await fleet.faults.put(Fault(FaultKind.REPLAYED), device=code)
    payloads = [(await say(fleet, listener, code))[-1][1] for _ in range(3)]
    assert len(set(payloads)) == 1
    await fleet.faults.lift()
    assert json.loads((await say(fleet, listener, code))[-1][1])["ts"] > json.loads(payloads[0])["ts"]


async def test_an_odd_topic_costs_its_area_the_connection_until_the_fault_is_lifted(
    fleet: Fleet, listener: Listener
) -> None:
    code = meter(fleet)
    station = fleet.stations[code]
    status = status_of(f"{station.enterprise.code}/{station.site}")
    before = len(listener.on(status))
    await fleet.faults.put(Fault(FaultKind.ODD_TOPIC), device=code)
    fleet.step(1.0)  # NATS hangs up on a space in a topic
    await until(lambda: any(payload == b"offline" for _, payload, _ in listener.on(status)[before:]))
    await fleet.faults.lift()
    await until(lambda: listener.on(status)[-1][1] == b"online")
    await say(fleet, listener, code)


async def test_an_odd_topic_is_heard_beside_the_usual_one_where_the_broker_takes_it(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as broker:
        stations = lay_out(DEVICES, 1)
        ports = free_ports(endpoint_count(DEVICES))
        fleet = Fleet(stations, "127.0.0.1", ports, 1, SystemClock(), ("mqtt",), Broker(port=broker.port))
        code = meter(fleet)
        heard: list[str] = []
        with connected(broker, "listener") as client:
            client.on_message = lambda _client, _data, message: heard.append(message.topic)
            client.subscribe("muster-sim/#", qos=1)
            area = fleet.publishers[0]
            await area.open()
            await until(lambda: any(name.endswith("/status") for name in heard))
            await fleet.faults.put(Fault(FaultKind.ODD_TOPIC), endpoint=area.number)
            fleet.step(1.0)
            await until(lambda: any(name.endswith(f"/{code} 号机/data") for name in heard))
            assert any(name.endswith(f"/{code}/data") for name in heard)
            await area.close()


async def test_equipment_cannot_reach_the_bus(server: tuple[nats.Embedded, dict[str, str]]) -> None:
    embedded, passwords = server
    from nats.aio.client import Client as Bus

    inside, outside = Bus(), Bus()
    await inside.connect(embedded.url, user="launcher", password=passwords["launcher"])
    await outside.connect(embedded.url, user="equipment", password=passwords["equipment"])
    heard = await inside.subscribe("batch.>")
    await inside.flush()
    await outside.publish("batch.0.1", b"forged")
    await outside.flush()
    await inside.publish("batch.0.1", b"own")
    assert (await heard.next_msg(5)).data == b"own"
    await outside.close()
    await inside.close()
