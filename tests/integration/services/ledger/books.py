"""A book of two enterprises, and its way into the database."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.protocol import ProtocolInfo
from services import ledger
from services.ledger.edit import attest_device
from services.ledger.problems import Report

Connection = AsyncConnection[TupleRow]


Protocols = Mapping[str, ProtocolInfo]


BOOK = """
enterprises: [{code: acme, name: Acme}, {code: other, name: Other}]
sites: [{enterprise: acme, code: hall, name: Hall}]
gateways: [{code: gw}, {code: gw-acme, enterprise: acme}]
models:
  - code: pump
    name: Pump
    protocol: modbus
    device_class: operating
    tags:
      - {name: speed, type: uint16, address: {register: 0}, unit: r/min}
      - {name: current, type: float32, address: {register: 10}, unit: A}
devices:
  - {enterprise: acme, site: hall, gateway: gw, model: pump, code: P-1, name: one,
     connection: {host: h, port: 1}}
  - {enterprise: acme, gateway: gw-acme, model: pump, code: P-2, name: two, connection: {host: h, port: 2}}
  - {enterprise: other, gateway: gw, model: pump, code: P-1, name: theirs, connection: {host: h, port: 3}}
"""


JPEG = b"\xff\xd8\xff\xe0 a photograph"


async def put(api: Connection, protocols: Protocols, text: str, **options: Any) -> Report:
    settings = {"dry_run": False, "actor": "tester", "scope": None} | options
    return await ledger.apply(api, ledger.load(text.encode(), "yaml", name="t.yaml"), protocols, **settings)


async def rows(connection: Connection, sql: str) -> list[Any]:
    return await (await connection.execute(sql)).fetchall()  # type: ignore[arg-type]


TAGS = """
select position, name, unit, retired_at is null from tag
where device = (select min(id) from device) order by position
"""


async def attest(api: Connection, protocols: Protocols, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "enterprise": "acme",
        "code": "P-1",
        "serial_number": "S1",
        "nameplate": JPEG,
        "attested_by": "Lin",
        "attested_on": date(2026, 1, 2),
        "real": False,
        "actor": "lin",
        "scope": None,
    }
    return await attest_device(api, protocols, **(facts | changes))
