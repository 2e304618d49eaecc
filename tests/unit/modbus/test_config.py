"""Documents are refused by the field that is wrong, and mean one thing when they are right."""

from typing import Any

import pytest

from gateway.adapters.modbus.config import Connection, Limits, check, endpoint, understand
from muster.device import Device, Tag
from muster.errors import ConfigError
from tests.unit.modbus.documents import device, tag

FINE = tag(1, "uint16", register=0)
SERIAL = {"port": "/dev/ttyS0"}

WRONG: list[tuple[str, Device]] = [
    ("connection.colour", device(FINE, colour="blue")),
    ("connection.port", device(FINE, port=70000)),
    ("connection.timeout_ms", device(FINE, timeout_ms=1)),
    ("connection.limits.max_registers", device(FINE, limits={"max_registers": 126})),
    ("connection.window", device(FINE, window={"start": 65000, "length": 1000})),
    ("connection.identity", device(FINE, identity={"kind": "guess"})),
    ("connection", device(FINE, host=" ")),
    ("connection", device(FINE, serial=SERIAL)),
    ("connection", device(FINE, tls={})),
    ("connection.tls", device(FINE, transport="tls", tls={"key_file": "k"})),
    ("connection", device(FINE, transport="rtu")),
    ("connection", device(FINE, transport="rtu", serial=SERIAL, unit=0)),
    ("connection", device(FINE, transport="rtu", serial=SERIAL, host="x")),
    ("interval_s", device(FINE, interval_s=0.01)),
    ("interval_s", device(FINE, interval_s=float("nan"))),
    ("tags", device()),
    ("tags", device(FINE, tag(1, "uint16", register=1))),
    ("tags[t1].type", device(tag(1, "float16", register=0))),
    ("tags[t1].type", device(tag(1, "uint16", table="coil", register=0))),
    ("tags[t1].address.colour", device(tag(1, "uint16", register=0, colour=1))),
    ("tags[t1].address.register", device(tag(1, "uint16"))),
    ("tags[t1].address.register", device(tag(1, "uint32", register=65535))),
    ("tags[t1].address.bit", device(tag(1, "uint16", register=0, bit=3))),
    ("tags[t1].address.bit", device(tag(1, "bit", register=0))),
    ("tags[t1].address.length", device(tag(1, "string", register=0))),
    ("tags[t1].address.length", device(tag(1, "uint16", register=0, length=2))),
    ("tags[t1].address.word_order", device(tag(1, "uint16", register=0, word_order="little"))),
    ("tags[t1].address.absent", device(tag(1, "uint16", register=0, absent=65536))),
    ("tags[t1].address.absent", device(tag(1, "bool", table="coil", register=0, absent=1))),
    ("tags[t1].scale", device(tag(1, "uint16", register=0, scale=0))),
    ("tags[t1].scale", device(tag(1, "bool", table="coil", register=0, scale=2))),
    ("tags[t1].low", device(tag(1, "uint16", register=0, low=2, high=1))),
    ("tags[t1].writable", device(tag(1, "uint16", table="input", register=0, writable=True))),
    (
        "tags[t1].address.register",
        device(tag(1, "uint32", register=9), window={"start": 100, "length": 10}),
    ),
    (
        "tags[t1].address.register",
        device(
            tag(1, "uint32", register=9), limits={"holes": [{"table": "holding", "start": 10, "length": 1}]}
        ),
    ),
    ("tags[t1].type", device(tag(1, "float64", register=0), limits={"max_registers": 3})),
]


@pytest.mark.parametrize(
    ("field", "document"), WRONG, ids=[f"{n}-{field}" for n, (field, _) in enumerate(WRONG)]
)
def test_a_wrong_document_is_refused_by_the_field(field: str, document: Device) -> None:
    with pytest.raises(ConfigError) as caught:
        check(document)
    assert str(caught.value).startswith(f"{field}:")


@pytest.mark.parametrize(
    ("connection", "text"),
    [
        ({"host": "PLC-1", "port": 1502, "unit": 3}, "plc-1:1502/3"),
        ({"host": "10.0.0.1"}, "10.0.0.1:502/1"),
        ({"host": "10.0.0.1", "transport": "tls"}, "10.0.0.1:802/1"),
        ({"host": "fe80::1", "unit": 0}, "[fe80::1]:502/0"),
        ({"host": "10.0.0.1", "window": {"start": 100, "length": 50}}, "10.0.0.1:502/1[100+50]"),
        ({"transport": "rtu", "serial": SERIAL, "unit": 7}, "/dev/ttyS0/7"),
    ],
)
def test_an_endpoint_names_what_devices_share(connection: dict[str, Any], text: str) -> None:
    assert endpoint(Connection.model_validate(connection)) == text


def test_the_framing_spoken_to_a_port_makes_no_second_endpoint() -> None:
    plain, tunnel = (
        Connection.model_validate({"host": "plc", "port": 502, "transport": transport})
        for transport in ("tcp", "rtu_over_tcp")
    )
    assert endpoint(plain) == endpoint(tunnel)


def test_a_tag_in_a_window_is_counted_from_its_start() -> None:
    meant = understand(device(tag(1, "uint32", register=8), window={"start": 100, "length": 10}))
    assert [(place.start, place.width) for place in meant.places] == [(108, 2)]


def test_tags_are_understood_in_the_order_of_their_positions() -> None:
    meant = understand(device(tag(3, "uint16", register=0), tag(1, "uint16", register=5)))
    assert [place.tag.position for place in meant.places] == [1, 3]


def test_models_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Limits().max_gap = 3  # type: ignore[misc]


def test_a_tag_stays_a_document_of_its_own() -> None:
    assert isinstance(understand(device(FINE)).places[0].tag, Tag)
