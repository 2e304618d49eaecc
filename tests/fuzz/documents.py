"""What a gateway is told to watch: device documents, and what they say of connections and tags."""

import contextlib
import json
from typing import Any

import msgspec

from deploy.protocols import protocol_infos
from gateway.documents import BadDocument, decode
from muster.device import Device
from muster.errors import ConfigError

_PROTOCOLS = protocol_infos()
_NAMES = sorted(_PROTOCOLS)


def device(data: bytes) -> None:
    """Take a document as the bus delivers it."""
    with contextlib.suppress(BadDocument):
        found = decode(1, data)
        assert found.number == 1
        assert found.interval_s > 0
        assert len({tag.position for tag in found.tags}) == len(found.tags)


def connection(data: bytes) -> None:
    """Take the first byte for the protocol, the rest for the connection and the tags of a document."""
    if not data:
        return
    name = _NAMES[data[0] % len(_NAMES)]
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigError):
        said = msgspec.json.decode(data[1:], type=_Said)
        made = _document(name, said.connection, said.tags)
        found = msgspec.convert(made, Device)
        assert isinstance(_PROTOCOLS[name].validate(found), str)


class _Said(msgspec.Struct):
    connection: dict[str, Any]
    tags: list[dict[str, Any]]


def _document(protocol: str, connection: dict[str, Any], tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "number": 1,
        "version": 1,
        "code": "d",
        "name": "d",
        "enterprise": 1,
        "protocol": protocol,
        "connection": connection,
        "report_mode": "polled",
        "interval_s": 1.0,
        "tags": tags,
    }


def _tag(kind: str, address: dict[str, Any]) -> dict[str, Any]:
    return {"position": 1, "name": "t", "type": kind, "address": address, "writable": True}


_BROKER = {"host": "h", "username": "u", "password_file": "p"}
_SAID: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "modbus": (
        {
            "host": "h",
            "port": 502,
            "unit": 1,
            "limits": {"max_registers": 60, "holes": [{"start": 5, "length": 2}]},
        },
        _tag("uint16", {"table": "holding", "register": 0}),
    ),
    "mqtt": (
        {"broker": _BROKER, "topic": "plant/a", "payload": {"timestamp": {"path": "$.t", "unit": "ms"}}},
        _tag("float64", {"path": "$.v"}) | {"writable": False},
    ),
    "opcua": (
        {"url": "opc.tcp://h:4840", "user": {"username": "u", "password_file": "p"}, "root": "ns=2;s=P"},
        _tag("float64", {"node": "{root}.Speed"}),
    ),
    "sparkplug": (
        {"broker": _BROKER, "group": "g", "edge_node": "e", "device": "d"},
        _tag("float64", {"metric": "M", "member": ["A"]}),
    ),
}
CONNECTIONS = [
    bytes([_NAMES.index(name)]) + json.dumps({"connection": said, "tags": [one]}).encode()
    for name, (said, one) in _SAID.items()
]
DEVICES = [json.dumps(_document(name, said, [one])).encode() for name, (said, one) in _SAID.items()]
