"""Outcomes of an edge node's messages reach those devices that they concern, and no others."""

from typing import Any

from gateway.adapters.sparkplug.config import understand
from gateway.adapters.sparkplug.crew import Crew
from gateway.adapters.sparkplug.outcomes import Alive, ClockOff, Down, Missed, Outcome, Trouble, Up
from gateway.adapters.sparkplug.station import Station
from gateway.collector import Collector
from muster.clock import SECOND_US
from muster.device import Device, ReportMode, Tag

NOW_US = 1_700_000_000 * SECOND_US
SCOPES = {1: None, 2: "press", 3: "oven", 4: "oven"}


def station(number: int, collector: Collector) -> Station:
    connection: dict[str, Any] = {"broker": {"host": "b"}, "group": "plant", "edge_node": "line-1"}
    if (scope := SCOPES[number]) is not None:
        connection["device"] = scope
    tags = [Tag(1, "t", "float64", {"metric": "T"})]
    device = Device(number, 1, "d", "d", 1, "sparkplug", connection, ReportMode.PERIODIC, 1.0, tags)
    return Station(device, understand(device), collector)


def heard(outcome: Outcome, *, without: int | None = None) -> list[tuple[int, str]]:
    collector = Collector(1)
    collector.begin(NOW_US)
    stations = {number: station(number, collector) for number in SCOPES}
    crew = Crew(stations.values())
    if without is not None:
        crew.remove(stations[without])
    crew.tell([outcome], NOW_US)
    return sorted((event.device, event.kind) for event in collector.cut(NOW_US).events)


def test_what_a_device_says_concerns_every_station_of_its_scope_only() -> None:
    assert heard(Up("oven")) == [(3, "session_up"), (4, "session_up")]
    assert heard(Down("press", "sparkplug.device-died")) == [(2, "session_down")]
    assert heard(Alive("press")) == [(2, "answer")]
    assert heard(Trouble("nobody", "sparkplug.not-born")) == []


def test_an_edge_nodes_own_birth_and_life_are_not_its_devices() -> None:
    assert heard(Up(None)) == [(1, "session_up")]
    assert heard(Alive(None)) == [(1, "answer")]


def test_an_edge_nodes_death_trouble_gaps_and_clock_are_its_devices_too() -> None:
    for outcome, kind in (
        (Down(None, "sparkplug.edge-node-died"), "session_down"),
        (Trouble(None, "sparkplug.sequence-gap"), "error"),
        (Missed(NOW_US - 1, NOW_US, 1), "gap"),
        (ClockOff(5_000_000, 1_000), "clock"),
    ):
        assert heard(outcome) == [(number, kind) for number in SCOPES]


def test_a_device_that_left_hears_nothing() -> None:
    assert heard(Up("oven"), without=3) == [(4, "session_up")]
    assert heard(Down(None, "sparkplug.edge-node-died"), without=2) == [
        (number, "session_down") for number in (1, 3, 4)
    ]
