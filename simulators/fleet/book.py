"""The fleet as a device book: what the ledger imports so that a gateway finds every simulated machine."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from muster.sparkplug import DataType
from simulators.fleet.enterprises import Protocol, spoken
from simulators.fleet.plan import WINDOW_LENGTH, Station, lay_out
from simulators.machines.kinds import KINDS
from simulators.machines.points import Kind, Point
from simulators.modbus.identity import BLOCK_REGISTER
from simulators.mqtt.publisher import status_topic, topic
from simulators.opcua.objects import node
from simulators.sparkplug.edge_node import GROUP, node_name
from simulators.sparkplug.metrics import MODEL, SERIAL_NUMBER, VENDOR, datatype, metric_name

INTERVAL_S = 1.0
_REPORT_MODES: dict[str, str] = {
    "modbus": "polled",
    "mqtt": "periodic",
    "opcua": "on_change",
    "sparkplug": "on_change",
}
_WORDS = {DataType.BOOLEAN: "bool", DataType.FLOAT: "float32", DataType.DOUBLE: "float64"}
"""Types of tags whose names are not their datatypes'."""


def demo_book(
    devices: int,
    seed: int,
    host: str,
    ports: Sequence[int],
    gateway: str,
    protocols: Collection[str] = ("modbus",),
    broker: Mapping[str, Any] | None = None,
    thumbprints: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """Return the book of a fleet whose endpoints listen on `ports`, read by the gateway of this code.

    protocols: what areas may speak; broker: how the gateway reaches the broker of those that speak MQTT or
    Sparkplug B; thumbprints: of the certificates of those OPC UA servers, by endpoint, that accept encrypted sessions
    only.
    """
    stations = lay_out(devices, seed)
    enterprises = {station.enterprise.code: station.enterprise for station in stations}
    sites = {(s.enterprise.code, s.site): s.site_name for s in stations}
    kinds = sorted({(one.kind.code, spoken(one.area, protocols)) for one in stations})
    return {
        "enterprises": [
            {"code": one.code, "name": one.name, "industry": one.industry} for one in enterprises.values()
        ],
        "sites": [
            {"enterprise": enterprise, "code": code, "name": name}
            for (enterprise, code), name in sites.items()
        ],
        "models": [_model(KINDS[code], protocol) for code, protocol in kinds],
        "devices": [
            _device(
                station,
                gateway,
                spoken(station.area, protocols),
                _connection(station, protocols, host, ports, broker, thumbprints),
            )
            for station in stations
        ],
    }


def _model(kind: Kind, protocol: str) -> dict[str, Any]:
    return {
        "code": _model_code(kind, protocol),
        "name": kind.name,
        "protocol": protocol,
        "device_class": kind.device_class,
        "kind": kind.english,
        "report_mode": _REPORT_MODES[protocol],
        "interval_s": INTERVAL_S,
        "tags": [_tag(point, kind, protocol) for point in kind.points],
    }


def _model_code(kind: Kind, protocol: str) -> str:
    return kind.code if protocol == "modbus" else f"{kind.code}-{protocol}"


def _tag(point: Point, kind: Kind, protocol: str) -> dict[str, Any]:
    tag: dict[str, Any] = {
        "name": point.name,
        "label": point.label,
        "unit": point.unit,
        "writable": point.writable,
        **(_register(point, kind) if protocol == "modbus" else _member(point, protocol)),
    }
    for name, limit in (("low", point.low), ("high", point.high)):
        if limit is not None:
            tag[name] = limit
    return tag


def _register(point: Point, kind: Kind) -> dict[str, Any]:
    """Return what a tag says of its registers."""
    address: dict[str, Any] = {"table": point.table, "register": point.register}
    if point.bit is not None:
        address["bit"] = point.bit
    if point.width > 1:
        address["word_order"] = kind.word_order
    tag: dict[str, Any] = {"type": point.type, "address": address}
    for name, value, usual in (("scale", point.scale, 1.0), ("offset", point.offset, 0.0)):
        if value != usual:
            tag[name] = value
    return tag


def _member(point: Point, protocol: str) -> dict[str, Any]:
    """Return what a tag says of its place in a message or below an object, which hold engineering values."""
    if protocol == "sparkplug":
        kind = datatype(point)
        return {"type": _WORDS.get(kind, kind.name.lower()), "address": {"metric": metric_name(point)}}
    where = {"path": f"$.values.{point.name}"} if protocol == "mqtt" else {"node": f"{{root}}.{point.name}"}
    return {"type": "bool" if point.binary else "float64", "address": where}


def _modbus(station: Station, host: str, ports: Sequence[int]) -> dict[str, Any]:
    connection: dict[str, Any] = {
        "transport": "tcp",
        "host": host,
        "port": ports[station.endpoint],
        "unit": station.unit,
    }
    if station.window is None:
        connection["identity"] = {"kind": "sunspec", "register": BLOCK_REGISTER}
    else:
        connection["window"] = {"start": station.window, "length": WINDOW_LENGTH}
        connection["identity"] = {"kind": "sunspec", "register": station.window + BLOCK_REGISTER}
    return connection


def _mqtt(station: Station, broker: Mapping[str, Any]) -> dict[str, Any]:
    place = f"{station.enterprise.code}/{station.site}"
    return {
        "broker": dict(broker),
        "topic": topic(place, station.code, "data"),
        "qos": 1,
        "payload": {"timestamp": {"path": "$.ts", "unit": "ms"}},
        "status": {"topic": status_topic(place)},
        "heartbeat": topic(place, station.code, "alive"),
        "identity": {fact: f"$.device.{fact}" for fact in ("vendor", "model", "serial_number")},
        "command": {
            "topic": topic(place, station.code, "set"),
            "payload": '{"id": {id}, "tag": "{tag}", "value": {value}}',
            "response_topic": topic(place, station.code, "done"),
            "response_path": "$.id",
        },
    }


def _sparkplug(station: Station, broker: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "broker": dict(broker),
        "group": GROUP,
        "edge_node": node_name(station.enterprise.code, station.site),
        "device": station.code,
        "identity": {"vendor": VENDOR, "model": MODEL, "serial_number": SERIAL_NUMBER},
    }


def _opcua(station: Station, host: str, ports: Sequence[int], thumbprint: str | None) -> dict[str, Any]:
    connection: dict[str, Any] = {"url": f"opc.tcp://{host}:{ports[station.endpoint]}"}
    if thumbprint is None:
        connection["security"] = {"policy": "None", "mode": "none"}
    else:
        connection["security"] = {"policy": "Basic256Sha256", "mode": "sign_and_encrypt"}
        connection["server_certificate"] = thumbprint
    return {**connection, "root": node(station.code)}


def _connection(
    station: Station,
    protocols: Collection[str],
    host: str,
    ports: Sequence[int],
    broker: Mapping[str, Any] | None,
    thumbprints: Mapping[int, str] | None,
) -> dict[str, Any]:
    match spoken(station.area, protocols):
        case "modbus":
            return _modbus(station, host, ports)
        case "mqtt":
            return _mqtt(station, broker or {})
        case "opcua":
            return _opcua(station, host, ports, (thumbprints or {}).get(station.endpoint))
        case "sparkplug":
            return _sparkplug(station, broker or {})


def _device(station: Station, gateway: str, protocol: Protocol, connection: dict[str, Any]) -> dict[str, Any]:
    device: dict[str, Any] = {
        "enterprise": station.enterprise.code,
        "site": station.site,
        "gateway": gateway,
        "model": _model_code(station.kind, protocol),
        "code": station.code,
        "name": station.name,
        "industry": station.enterprise.industry,
        "equipment": station.kind.equipment,
        "manufacturer": station.manufacturer,
        "serial_number": station.serial_number,
        "origin": "simulated",
        "connection": connection,
    }
    if station.kind.shift_pattern is not None:
        device["shift_pattern"] = dict(station.kind.shift_pattern)
    return device
