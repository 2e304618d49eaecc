"""What a simulated machine says of itself in Sparkplug B, and what it takes as a command."""

import pytest

from muster.clock import SystemClock
from muster.sparkplug import DataType, Metric, Payload, decode, encode
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.machines.kinds import KINDS
from simulators.machines.machine import Machine
from simulators.machines.points import Kind, Point
from simulators.modbus.identity import Identity
from simulators.modbus.units import Image
from simulators.mqtt.link import Broker
from simulators.sparkplug.edge_node import EdgeNode
from simulators.sparkplug.metrics import ALIASES, Speaker, datatype, metric_name

WHOLE = {DataType[name] for name in ("INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64")}


def machine(kind: Kind) -> Machine:
    identity = Identity("simulated", kind.code, kind.english, f"{kind.prefix}-SIM", "SIM1-X")
    return Machine("X", kind, identity, Image(200), 0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_every_point_of_every_kind_can_be_said_and_read_back(kind: Kind) -> None:
    speaker = Speaker(machine(kind), 100)
    birth = speaker.birth(1_700_000_000_000)
    assert decode(encode(Payload(0, birth, 1))).metrics == birth
    aliases = [one.alias for one in birth if one.alias is not None]
    assert len(set(aliases)) == len(birth)
    assert 100 <= min(aliases) <= max(aliases) < 100 + ALIASES
    by_name = {one.name: one for one in birth}
    for point in kind.points:
        said = by_name[metric_name(point)]
        assert (said.datatype, said.properties["readOnly"].value) == (datatype(point), not point.writable)


def test_a_points_datatype_is_that_of_its_engineering_value() -> None:
    def of(kind: str, **more: float) -> DataType:
        return datatype(Point("p", "", kind, "holding", 0, **more))  # type: ignore[arg-type]

    assert of("uint32") is DataType.UINT32
    assert of("float32") is DataType.FLOAT
    assert of("float64") is DataType.DOUBLE
    assert of("int16", scale=0.1) is DataType.DOUBLE
    assert of("uint16", offset=-40) is DataType.DOUBLE
    assert of("uint16", bit=3) is DataType.BOOLEAN
    assert datatype(Point("p", "", "bool", "coil", 0)) is DataType.BOOLEAN


def test_only_what_has_changed_is_news_and_something_always_is() -> None:
    kind = KINDS["sim-agv"]
    speaker = Speaker(machine(kind), 100)
    alias = {one.name: one.alias for one in speaker.birth(1)}
    assert [one.alias for one in speaker.news(2)] == [alias[metric_name(kind.points[0])]]
    limit = kind.settings[-1]
    speaker.machine.set(limit, limit.high or 1.0)
    assert [one.alias for one in speaker.news(3)] == [alias[metric_name(limit)]]
    assert len(speaker.news(4)) == 1


def test_a_command_names_a_writable_point_by_its_alias_or_its_name() -> None:
    kind = KINDS["sim-agv"]
    speaker = Speaker(machine(kind), 100)
    alias = {one.name: one.alias for one in speaker.birth(1)}
    writable, measured = kind.settings[0], next(point for point in kind.points if not point.writable)
    assert speaker.point(Metric("", alias[metric_name(writable)])) is writable
    assert speaker.point(Metric(metric_name(writable))) is writable
    assert speaker.point(Metric("", alias[metric_name(measured)])) is None
    assert speaker.point(Metric(metric_name(measured))) is None
    assert speaker.point(Metric(metric_name(writable), 99_999)) is None


def test_where_sparkplug_is_spoken_the_aliases_of_an_edge_nodes_machines_do_not_meet() -> None:
    ports = range(20_000, 20_000 + endpoint_count(520))
    fleet = Fleet(lay_out(520, 1), "127.0.0.1", ports, 1, SystemClock(), ("sparkplug",), Broker(port=1883))
    assert sum(isinstance(endpoint, EdgeNode) for endpoint in fleet.endpoints) == 6
    assert all(len(kind.points) + 4 <= ALIASES for kind in KINDS.values())
