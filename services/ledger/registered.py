"""What is registered already, as the checks and the exports need it: rows by their codes."""

from typing import Any, TypeVar

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from services.ledger.queries import QUERIES

T = TypeVar("T")

DeviceName = tuple[str, str]
"""Enterprise code and device code."""


class EnterpriseRow(msgspec.Struct, kw_only=True):
    code: str
    name: str
    industry: str = ""


class SiteRow(msgspec.Struct, kw_only=True):
    enterprise: str
    code: str
    name: str


class GatewayRow(msgspec.Struct, kw_only=True):
    """keys: its public keys that are not revoked."""

    code: str
    name: str
    enterprise: str | None = None
    keys: list[bytes] = []


class ModelRow(msgspec.Struct, kw_only=True):
    code: str
    name: str
    enterprise: str | None = None
    protocol: str
    device_class: str
    kind: str = ""
    report_mode: str = "polled"
    interval_s: float = 1.0
    tags: list[dict[str, Any]] = []


class DeviceRow(msgspec.Struct, kw_only=True):
    """number: None for a device that is not registered yet; retired: its number would be taken up again."""

    number: int | None = None
    enterprise: str
    site: str | None = None
    gateway: str | None = None
    model: str | None = None
    code: str
    name: str
    device_class: str
    industry: str = ""
    kind: str = ""
    equipment: str = ""
    consumes_energy: bool = True
    report_mode: str = "polled"
    interval_s: float = 1.0
    shift_pattern: dict[str, Any] | None = None
    manufacturer: str = ""
    model_number: str = ""
    serial_number: str = ""
    commissioned_on: str | None = None
    origin: str = "unknown"
    protocol: str = ""
    connection: dict[str, Any] = {}
    endpoint: str = ""
    retired: bool = False


class AttestationRow(msgspec.Struct, kw_only=True):
    device: int
    serial_number: str
    nameplate_sha256: bytes
    attested_by: str
    attested_on: str


class Registered(msgspec.Struct):
    """The part of the device book that a document can touch.

    scope: the code of the one enterprise that may be changed, None for the operator. devices: those not
    retired, and for codes without one the last retired. taken: codes of gateways and models that exist
    outside of what the asker sees.
    """

    scope: str | None = None
    enterprises: dict[str, EnterpriseRow] = {}
    sites: dict[tuple[str, str], SiteRow] = {}
    gateways: dict[str, GatewayRow] = {}
    models: dict[str, ModelRow] = {}
    devices: dict[DeviceName, DeviceRow] = {}
    attestations: dict[int, list[AttestationRow]] = {}
    revoked_keys: dict[str, set[bytes]] = {}
    taken_gateways: frozenset[str] = frozenset()
    taken_models: frozenset[str] = frozenset()


class OutsideScope(LookupError):
    """The scope names an enterprise that does not exist."""


async def enter(connection: AsyncConnection[Any], scope: int | None) -> None:
    """Let the transaction see what `scope` may: one enterprise by its number, or everything (None)."""
    await connection.execute(QUERIES["enter"], {"scope": "all" if scope is None else str(scope)})


async def read_registered(
    connection: AsyncConnection[Any],
    scope: int | None,
    *,
    gateways: list[str] | None = None,
    models: list[str] | None = None,
) -> Registered:
    """Return what is registered within `scope`; the transaction must have entered it.

    gateways, models: codes that a document brings, to learn which of them are taken out of sight.
    """
    found = Registered()
    if scope is not None:
        row = await (await connection.execute(QUERIES["scope_code"], {"scope": scope})).fetchone()
        if row is None:
            raise OutsideScope(scope)
        found.scope = row[0]
    facts = {"scope": scope}
    found.enterprises = {
        row.code: row for row in await _rows(connection, EnterpriseRow, "enterprises", facts)
    }
    found.sites = {
        (row.enterprise, row.code): row for row in await _rows(connection, SiteRow, "sites", facts)
    }
    found.gateways = {row.code: row for row in await _rows(connection, GatewayRow, "gateways", facts)}
    found.models = {row.code: row for row in await _rows(connection, ModelRow, "models", facts)}
    found.devices = {
        (row.enterprise, row.code): row for row in await _rows(connection, DeviceRow, "devices", facts)
    }
    for row in await _rows(connection, AttestationRow, "attestations", facts):
        found.attestations.setdefault(row.device, []).append(row)
    cursor = await connection.execute(QUERIES["revoked_keys"])
    for gateway, key in await cursor.fetchall():
        found.revoked_keys.setdefault(gateway, set()).add(key)
    found.taken_gateways = await _taken(connection, "gateway", gateways or [], found.gateways)
    found.taken_models = await _taken(connection, "device_model", models or [], found.models)
    return found


async def _rows(
    connection: AsyncConnection[Any], structure: type[T], name: str, facts: dict[str, Any]
) -> list[T]:
    async with connection.cursor(row_factory=class_row(structure)) as cursor:
        await cursor.execute(QUERIES[name], facts)
        return await cursor.fetchall()


async def _taken(
    connection: AsyncConnection[Any], relation: str, codes: list[str], seen: dict[str, Any]
) -> frozenset[str]:
    unseen = [code for code in codes if code not in seen]
    if not unseen:
        return frozenset()
    cursor = await connection.execute(QUERIES["codes_taken"], {"relation": relation, "codes": unseen})
    return frozenset(row[0] for row in await cursor.fetchall())
