"""The books that simulators write of themselves are taken by the device book without a word."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.protocols import protocol_infos
from muster.clock import SystemClock
from services import ledger
from services.ledger import Registered, Report
from simulators import pollcounter
from simulators.fleet.book import demo_book
from simulators.fleet.plan import endpoint_count
from simulators.mqtt.link import Broker
from simulators.replays.modbus import ModbusPlayer
from simulators.replays.mqtt import MqttPlayer
from simulators.replays.opcua import OpcuaPlayer
from simulators.replays.player import Player, book
from simulators.replays.recording import Recording, load


def report(document: dict[str, Any]) -> Report:
    whole = {"gateways": [{"code": "demo-1", "name": "演示网关"}], **document}
    book = ledger.load(json.dumps(whole, ensure_ascii=False).encode(), "yaml", name="demo.yaml")
    return ledger.check(book, protocol_infos(), Registered())


@pytest.mark.parametrize("devices", [1, 520, 700])
def test_the_fleets_book_has_nothing_wrong_with_it(devices: int) -> None:
    ports = list(range(15000, 15000 + endpoint_count(devices)))
    found = report(demo_book(devices, 1, "127.0.0.1", ports, "demo-1"))
    assert found.errors == []
    assert found.warnings == []
    assert found.counts["devices"].created == devices


def test_the_fleets_book_has_nothing_wrong_with_it_where_some_areas_publish() -> None:
    ports = list(range(15000, 15000 + endpoint_count(520)))
    broker = {"host": "127.0.0.1", "port": 1883, "username": "listener", "password_file": "listener.secret"}
    book = demo_book(520, 1, "127.0.0.1", ports, "demo-1", ("modbus", "opcua", "mqtt", "sparkplug"), broker)
    found = report(book)
    assert found.errors == []
    assert found.warnings == []
    spoken = Counter(device["model"].rpartition("-")[2] for device in book["devices"])
    assert (spoken["mqtt"], spoken["opcua"], spoken["sparkplug"]) == (58, 54, 48)
    assert {device["origin"] for device in book["devices"]} == {"simulated"}


def test_every_device_of_the_fleet_is_called_simulated() -> None:
    ports = list(range(15000, 15060))
    devices = demo_book(520, 1, "127.0.0.1", ports, "demo-1")["devices"]
    assert {device["origin"] for device in devices} == {"simulated"}
    assert len({device["serial_number"] for device in devices}) == 520


@pytest.mark.parametrize("protocol", ["modbus", "mqtt", "opcua"])
def test_a_replays_book_has_nothing_wrong_with_it(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "1号泵 记录.csv"
    path.write_text("at;Volume Flow RateRMS;Volume Flow RateRMS;\n2020-03-09 10:14:33;1;2;3\n", "utf-8")
    found = report(book(player(protocol, load(path)), "demo-1", 1.0))
    assert found.errors == []
    assert found.warnings == []
    widest = Recording("wide", [f"c{at}" for at in range(249)], np.ones((1, 249)), np.ones(1))
    assert report(book(player(protocol, widest), "demo-1", 1.0)).errors == []


def player(protocol: str, recording: Recording) -> Player:
    if protocol == "modbus":
        return ModbusPlayer(recording, "127.0.0.1", 15000, "float32")
    if protocol == "opcua":
        return OpcuaPlayer(recording, "127.0.0.1", 15000, SystemClock())
    return MqttPlayer(recording, Broker(port=15000), {"host": "127.0.0.1", "port": 15000}, SystemClock())


def test_the_counting_equipments_book_has_nothing_wrong_with_it() -> None:
    ports = list(range(15000, 15000 + pollcounter.endpoint_count(37)))
    found = report(pollcounter.book(37, "127.0.0.1", ports, "demo-1", 0.5))
    assert found.errors == []
    assert found.warnings == []
