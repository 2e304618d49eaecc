"""A small plant written straight into the database, connected now, and clients that look at it through the API.

Enterprise `yl` (devices 1–3, site and gateway of its own) and `other` (device 4, at a shared gateway).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI

from api import tokens
from api.application import create_app
from api.settings import Settings
from muster.device import Device
from muster.errors import ConfigError
from muster.protocol import ProtocolInfo
from tests.conftest import Database

NAME = "远联钢铁 “一厂”"


def validate(device: Device) -> str:
    if "host" not in device.connection:
        raise ConfigError("connection.host: it is missing")
    return f"{device.connection['host']}"


PROTOCOLS: Mapping[str, ProtocolInfo] = {
    "modbus": ProtocolInfo("modbus", "Modbus", validate),
    "modbus_rtu": ProtocolInfo("modbus_rtu", "Modbus", validate),
}


@dataclass
class Plant:
    """What was written. now: about when."""

    database: Database
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self, statement: str, *parameters: Any, role: str = "owner") -> list[tuple[Any, ...]]:
        with psycopg.connect(getattr(self.database, role), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def settings(self, **changes: Any) -> Settings:
        return Settings(port=0, database=self.database.api, **{"anonymous": "operator", **changes})

    async def token(self, enterprise: str | None = None, *, may_write: bool = False) -> str:
        _, token = await tokens.create(
            self.database.owner, "test", enterprise=enterprise, may_write=may_write
        )
        return token

    def see(self, device: int, state: int, reason: str, ago_s: float) -> None:
        """Let a device be in a state since some seconds."""
        at = self.now - timedelta(seconds=ago_s)
        self.run(
            """insert into presence select id, enterprise, gateway,
                (select span from watch where watch.gateway = device.gateway and partition = device.id %% 4),
                %s, %s, %s, %s from device where id = %s""",
            at,
            state,
            reason,
            at,
            device,
            role="ingest",
        )

    def scan(
        self, device: int, ago_s: float, values: list[float | None], quality: list[int] | None = None
    ) -> None:
        at = self.now - timedelta(seconds=ago_s)
        self.run(
            "insert into scan values (%s, %s, %s, %s, %s, 0)", device, at, at, values, quality, role="ingest"
        )


def build(database: Database) -> Plant:
    """Write the plant: devices 1, 2 and 4 connected for an hour, 3 offline; all simulated, 2 attested as real."""
    plant = Plant(database)
    plant.run(
        "insert into enterprise (code, name, industry) values ('yl', %s, 'metallurgy'), ('other', '其他', '')",
        NAME,
    )
    plant.run("insert into site (enterprise, code, name) values (1, 'hall', '炉区'), (2, 'yard', '料场')")
    plant.run(
        "insert into gateway (code, name, enterprise) values ('own', '自有网关', 1), ('shared', '共享网关', null)"
    )
    for enterprise, gateway, code, name, origin in (
        (1, 1, "P-001", "1号循环水泵", "simulated"),
        (1, 1, "P-002", "2号循环水泵", "unknown"),
        (1, 1, "P-100%", "引风机_甲", "simulated"),
        (2, 2, "X-1", "外厂设备", "simulated"),
    ):
        plant.run(
            """insert into device (enterprise, site, gateway, code, name, device_class, industry, kind, protocol,
                serial_number, origin, connection) values (%s, %s, %s, %s, %s, 'operating', 'metallurgy', 'pump',
                'modbus', %s, %s, '{"host": "192.0.2.1", "password": "geheim"}')""",
            enterprise,
            enterprise,
            gateway,
            code,
            name,
            f"SN-{code[-1]}",
            origin,
        )
    plant.run(
        """insert into attestation (enterprise, device, serial_number, nameplate, nameplate_sha256, attested_by,
            attested_on) values (1, 2, 'SN-2', 'x', 'y', '王工', '2026-01-01')"""
    )
    plant.run("update device set origin = 'real' where id = 2")
    begin, end = plant.now - timedelta(hours=2), plant.now + timedelta(hours=2)
    # registered two hours ago: the rows that triggers wrote say now
    plant.run("alter table device_history disable trigger all")
    plant.run("update device_history set recorded_at = recorded_at - interval '2 hours'")
    plant.run("alter table device_history enable trigger all")
    for device, gateway in ((1, 1), (2, 1), (3, 1), (4, 2)):
        plant.run(
            """insert into watch select n, n, %s, %s, %s, 1, %s, %s, %s, %s, true, false
            from (select nextval('watch_id_seq') as n) id""",
            1 if gateway == 1 else None,
            gateway,
            device % 4,
            begin,
            end,
            begin,
            end,
            role="ingest",
        )
    for device in (1, 2, 4):
        plant.see(device, 4, "value", 3600)
    plant.see(3, 1, "timeout", 1800)
    plant.run(
        """insert into tag (device, position, enterprise, name, label, type, address, unit) values
        (1, 1, 1, 'speed', '转速', 'float32', '{"register": 0}', 'r/min'),
        (1, 2, 1, 'current', '电流', 'float32', '{"register": 2}', 'A'),
        (1, 3, 1, 'serial', '序列号', 'string', '{"register": 4}', ''),
        (4, 1, 2, 'speed', '', 'float32', '{}', '')"""
    )
    return plant


@asynccontextmanager
async def serving(plant: Plant, **changes: Any) -> AsyncIterator[FastAPI]:
    """Run the application without a socket."""
    app = create_app(plant.settings(**changes), PROTOCOLS)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def looking(app: FastAPI, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application, with a token or without."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers
    ) as client:
        yield client
