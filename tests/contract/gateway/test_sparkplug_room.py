"""What the Sparkplug room promises outside: it is found, and wrong documents are refused by name."""

from typing import Any

import pytest

from gateway.adapter import Room, protocols
from gateway.adapters.sparkplug.room import SparkplugRoom
from muster.device import Device, ReportMode, Tag
from muster.errors import ConfigError


def device(sample: dict[str, Any]) -> Device:
    return Device(
        number=1,
        version=1,
        code="S",
        name="样例",
        enterprise=1,
        protocol="sparkplug",
        connection=sample["connection"],
        report_mode=ReportMode.PERIODIC,
        interval_s=1.0,
        tags=[Tag(**tag) for tag in sample["tags"]],
    )


def test_the_room_is_found_by_looking() -> None:
    described = protocols()["sparkplug"]
    assert described.family == "MQTT"
    room: type[Room] = SparkplugRoom
    assert described.create is room


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"group": "a/b"}, {}, "connection.group"),
    ({"edge_node": ""}, {}, "connection.edge_node"),
    ({"host_id": "+"}, {}, "connection.host_id"),
    ({"broker": {"host": "b", "share": "all"}}, {}, "connection.broker.share"),
    ({"secret": 1}, {}, "connection.secret"),
    ({}, {"type": "blob"}, "tags[t].type"),
    ({}, {"address": {}}, "tags[t].address.metric"),
    ({}, {"address": {"metric": "m", "row": 1}}, "tags[t].address.row"),
    ({}, {"address": {"metric": "m", "column": "c", "index": 1}}, "tags[t].address.index"),
    ({}, {"address": {"metric": "m", "index": 1}, "writable": True}, "tags[t].writable"),
    ({}, {"scale": 0.0}, "tags[t].scale"),
    ({}, {"type": "bool", "scale": 2.0}, "tags[t].scale"),
    ({}, {"low": 2.0, "high": 1.0}, "tags[t].low"),
]


@pytest.mark.parametrize(
    ("connection", "tag", "field"), WRONG, ids=[row[2] + str(at) for at, row in enumerate(WRONG)]
)
def test_a_wrong_document_is_refused_by_the_name_of_the_field(
    connection: dict[str, Any], tag: dict[str, Any], field: str
) -> None:
    whole = {"broker": {"host": "b"}, "group": "g", "edge_node": "e", **connection}
    one = {"position": 1, "name": "t", "type": "float64", "address": {"metric": "m"}, **tag}
    with pytest.raises(ConfigError) as caught:
        protocols()["sparkplug"].check(device({"connection": whole, "tags": [one]}))  # type: ignore[misc]
    assert str(caught.value).startswith(field)
