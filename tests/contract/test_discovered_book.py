"""What `muster discover` writes is a device book that the import takes."""

import yaml

from deploy.cli_discover import as_book
from deploy.protocols import protocol_infos
from services import ledger
from services.ledger.registered import GatewayRow, Registered


def found(
    group: str, name: str, kind: str, address: dict[str, object], interval: float | None
) -> dict[str, object]:
    return {
        "path": f"{group}/{name}",
        "name": name,
        "type": kind,
        "address": address,
        "group": group,
        "unit": "",
        "interval_s": interval,
    }


def problems(book: dict[str, object]) -> list[str]:
    registered = Registered(
        scope=None, gateways={"g": GatewayRow(code="g", name="g", enterprise=None, keys=[])}
    )
    text = yaml.safe_dump(book, allow_unicode=True).encode()
    report = ledger.check(ledger.load(text, "yaml", name="found.yaml"), protocol_infos(), registered)
    assert report.counts["devices"].created == 2
    return [problem.say("en") for problem in report.errors]


def test_each_object_of_an_opc_ua_server_is_a_device_and_its_nameplate_none() -> None:
    items = [
        found("Line 1/压机", "Speed", "float64", {"node": "nsu=urn:x;s=P.Speed"}, None),
        found("Line 1/压机", "Speed", "float64", {"node": "nsu=urn:x;s=P.Speed2"}, None),
        found("Line 1/压机/Identification", "SerialNumber", "string", {"node": "nsu=urn:x;s=P.SN"}, None),
        found("Line 2", "Axis_0", "float32", {"node": "nsu=urn:x;s=A", "index": 0}, None),
    ]
    assert problems(as_book("opcua", {"url": "opc.tcp://h"}, "g", "acme", items)) == []


def test_each_topic_is_a_device() -> None:
    items = [
        found("plant/a", "temp", "float64", {"path": "$.temp"}, 2.0),
        found("plant/b", "on", "bool", {"path": "$.on"}, None),
    ]
    wanted = {"broker": {"host": "h"}, "topic": "plant/#"}
    assert problems(as_book("mqtt", wanted, "g", "acme", items)) == []


def test_each_edge_node_and_each_of_its_devices_is_a_device() -> None:
    items = [
        found("plant/line 1", "Node Control/Rebirth", "bool", {"metric": "Node Control/Rebirth"}, None)
        | {"note": "sparkplug.found-command"},
        found("plant/line 1", "T", "float64", {"metric": "T"}, None),
        found("plant/line 1/press", "Motor/Speed", "int32", {"metric": "Motor", "member": ["Speed"]}, 1.0),
        found("plant/line 3", "Make", "string", {"metric": "Properties/Hardware Make"}, None),
        found("plant/line 2", "plant/line 2", "string", {}, None) | {"note": "sparkplug.found-unnamed"},
    ]
    book = as_book("sparkplug", {"broker": {"host": "h"}}, "g", "acme", items)
    assert problems(book) == []
    assert [one["connection"].get("device") for one in book["devices"]] == [None, "press"]
    assert [len(one["tags"]) for one in book["models"]] == [1, 1]
    assert {one["report_mode"] for one in book["models"]} == {"on_change"}
