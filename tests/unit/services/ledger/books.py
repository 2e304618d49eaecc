"""A small book, what it leaves in the database, and its check."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from muster.protocol import ProtocolInfo
from services.ledger.checks import check
from services.ledger.files import load
from services.ledger.problems import Report
from services.ledger.registered import (
    DeviceRow,
    EnterpriseRow,
    GatewayRow,
    ModelRow,
    Registered,
)

Protocols = Mapping[str, ProtocolInfo]


TODAY = date(2026, 11, 23)


BOOK = """
enterprises: [{code: acme, name: Acme}]
sites: [{enterprise: acme, code: hall, name: Hall}]
gateways: [{code: gw}]
models:
  - code: pump
    name: Pump
    protocol: modbus
    device_class: operating
    interval_s: 2
    tags: [{name: speed, type: uint16, address: {register: 0}}]
devices:
  - {enterprise: acme, site: hall, gateway: gw, model: pump, code: P-1, name: one,
     connection: {host: h, port: 502}}
"""


def tag(name: str, **facts: Any) -> dict[str, Any]:
    plain = {
        "label": "",
        "unit": "",
        "scale": 1.0,
        "offset": 0.0,
        "writable": False,
        "low": None,
        "high": None,
    }
    return {"name": name, "type": "uint16", "address": {"register": 0}} | plain | facts


def registered(**facts: Any) -> Registered:
    """What BOOK leaves in the database."""
    device = DeviceRow(
        number=7,
        enterprise="acme",
        site="hall",
        gateway="gw",
        model="pump",
        code="P-1",
        name="one",
        device_class="operating",
        interval_s=2.0,
        protocol="modbus",
        connection={"host": "h", "port": 502},
        endpoint="h:502/1",
    )
    for name, value in facts.items():
        setattr(device, name, value)
    found = Registered()
    found.enterprises = {"acme": EnterpriseRow(code="acme", name="Acme")}
    found.gateways = {"gw": GatewayRow(code="gw", name="gw")}
    found.models = {
        "pump": ModelRow(
            code="pump",
            name="Pump",
            protocol="modbus",
            device_class="operating",
            interval_s=2.0,
            tags=[tag("speed")],
        )
    }
    found.devices = {("acme", "P-1"): device}
    return found


def checked(text: str, protocols: Protocols, existing: Registered | None = None, **options: Any) -> Report:
    book = load(text.encode(), "yaml")
    return check(book, protocols, existing or Registered(), today=TODAY, **options)


def said(report: Report) -> list[tuple[str, str, int | None, str | None]]:
    return [(problem.key, problem.sheet, problem.row, problem.header) for problem in report.errors]
