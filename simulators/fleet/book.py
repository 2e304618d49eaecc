"""The fleet as a device book: what the ledger imports so that a gateway finds every simulated machine."""

from collections.abc import Sequence
from typing import Any

from simulators.fleet.plan import WINDOW_LENGTH, Station, lay_out
from simulators.machines.kinds import KINDS
from simulators.machines.points import Kind, Point
from simulators.modbus.identity import BLOCK_REGISTER

INTERVAL_S = 1.0


def demo_book(devices: int, seed: int, host: str, ports: Sequence[int], gateway: str) -> dict[str, Any]:
    """Return the book of a fleet whose endpoints listen on `ports`, read by the gateway of this code."""
    stations = lay_out(devices, seed)
    enterprises = {station.enterprise.code: station.enterprise for station in stations}
    sites = {(s.enterprise.code, s.site): s.site_name for s in stations}
    kinds = sorted({station.kind.code for station in stations})
    return {
        "enterprises": [
            {"code": one.code, "name": one.name, "industry": one.industry} for one in enterprises.values()
        ],
        "sites": [
            {"enterprise": enterprise, "code": code, "name": name}
            for (enterprise, code), name in sites.items()
        ],
        "models": [_model(KINDS[code]) for code in kinds],
        "devices": [_device(station, host, ports, gateway) for station in stations],
    }


def _model(kind: Kind) -> dict[str, Any]:
    return {
        "code": kind.code,
        "name": kind.name,
        "protocol": "modbus",
        "device_class": kind.device_class,
        "kind": kind.english,
        "report_mode": "polled",
        "interval_s": INTERVAL_S,
        "tags": [_tag(point, kind) for point in kind.points],
    }


def _tag(point: Point, kind: Kind) -> dict[str, Any]:
    address: dict[str, Any] = {"table": point.table, "register": point.register}
    if point.bit is not None:
        address["bit"] = point.bit
    if point.width > 1:
        address["word_order"] = kind.word_order
    tag: dict[str, Any] = {
        "name": point.name,
        "label": point.label,
        "type": point.type,
        "address": address,
        "unit": point.unit,
        "writable": point.writable,
    }
    for name, value, usual in (("scale", point.scale, 1.0), ("offset", point.offset, 0.0)):
        if value != usual:
            tag[name] = value
    for name, limit in (("low", point.low), ("high", point.high)):
        if limit is not None:
            tag[name] = limit
    return tag


def _device(station: Station, host: str, ports: Sequence[int], gateway: str) -> dict[str, Any]:
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
    device: dict[str, Any] = {
        "enterprise": station.enterprise.code,
        "site": station.site,
        "gateway": gateway,
        "model": station.kind.code,
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
