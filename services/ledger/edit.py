"""Single edits of the device book, for the API and the command line: the same road as an import.

Each is a small book of its own, so that the same checks, the same transaction and the same audit hold.
"""

import base64
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET
from psycopg import AsyncConnection

from muster.errors import RequestError
from muster.protocol import ProtocolInfo
from services.ledger.cells import CellError, read
from services.ledger.document import Attestation, Book, Device, Gateway, sheet_columns
from services.ledger.nameplates import SIZE_LIMIT, image
from services.ledger.problems import Report
from services.ledger.queries import QUERIES
from services.ledger.registered import enter
from services.ledger.writer import apply, record


async def add_gateway(
    connection: AsyncConnection[Any],
    *,
    code: str,
    name: str = "",
    enterprise: str | None = None,
    public_key: bytes | None = None,
    actor: str,
    scope: int | None,
) -> Report:
    """Register a gateway, or change its name, and enrol its Ed25519 public key (32 bytes) if one is given.

    enterprise: None for a gateway of the operator. A key that was revoked stays revoked.
    """
    entry = Gateway(
        code=code,
        name=name or UNSET,
        enterprise=enterprise,
        public_key=base64.b64encode(public_key).decode() if public_key is not None else UNSET,
    )
    book = Book(source=f"gateway {code}", gateways=[entry])
    return await apply(connection, book, {}, dry_run=False, actor=actor, scope=scope, action="add-gateway")


async def revoke_key(
    connection: AsyncConnection[Any], *, gateway: str, public_key: bytes, actor: str, scope: int | None
) -> None:
    """Refuse from now on what this key signs.

    Raises:
        RequestError: no such gateway bears this key, or it is not within the scope.
    """
    async with connection.transaction():
        await enter(connection, scope)
        cursor = await connection.execute(QUERIES["revoke_key"], {"gateway": gateway, "key": public_key})
        if cursor.rowcount == 0:
            raise RequestError(f"gateway {gateway}: no such key", status=404, code="not-found")
        await record(connection, actor=actor, scope=scope, action="revoke-key", source=f"gateway {gateway}")


async def change_device(
    connection: AsyncConnection[Any],
    protocols: Mapping[str, ProtocolInfo],
    *,
    enterprise: str,
    code: str,
    changes: Mapping[str, Any],
    actor: str,
    scope: int | None,
    dry_run: bool = False,
) -> Report:
    """Change fields of a registered device; `changes` by the names of the document, such as `interval_s`.

    Raises:
        RequestError: there is no such device within the scope, a field is unknown or its value wrong.
    """
    await _present(connection, enterprise, code, scope)
    columns = {column.name: column for column in sheet_columns("devices") if not column.field.key}
    values: dict[str, Any] = {}
    for name, said in changes.items():
        column = columns.get(name)
        if column is None or len(column.path) > 1:
            raise RequestError(f"{name}: not a field of a device", status=422, code="unknown-field")
        try:
            value = read(column, said)
        except CellError as error:
            raise RequestError(
                f"{name}: {error.key} {error.params}", status=422, code="wrong-field"
            ) from error
        values[name] = column.field.default if value is None else value
    book = Book(
        source=f"device {enterprise}/{code}", devices=[Device(enterprise=enterprise, code=code, **values)]
    )
    return await apply(
        connection, book, protocols, dry_run=dry_run, actor=actor, scope=scope, action="change-device"
    )


async def attest_device(
    connection: AsyncConnection[Any],
    protocols: Mapping[str, ProtocolInfo],
    *,
    enterprise: str,
    code: str,
    serial_number: str,
    nameplate: bytes,
    attested_by: str,
    attested_on: date,
    real: bool,
    actor: str,
    scope: int | None,
) -> Report:
    """Record who says that the device is a real machine, with its nameplate; `real` sets its origin as well.

    Raises:
        RequestError: there is no such device within the scope, or the photograph is none.
    """
    await _present(connection, enterprise, code, scope)
    if len(nameplate) > SIZE_LIMIT or not image(nameplate):
        raise RequestError("the nameplate is not an image, or too large", status=422, code="wrong-field")
    attestation = Attestation(
        attested_by=attested_by,
        attested_on=attested_on.isoformat(),
        nameplate=nameplate,
        serial_number=serial_number,
    )
    device = Device(enterprise=enterprise, code=code, attestation=attestation)
    if real:
        device = msgspec.structs.replace(device, serial_number=serial_number, origin="real")
    book = Book(source=f"device {enterprise}/{code}", devices=[device])
    return await apply(
        connection, book, protocols, dry_run=False, actor=actor, scope=scope, action="attest-device"
    )


async def retire_device(
    connection: AsyncConnection[Any], *, enterprise: str, code: str, actor: str, scope: int | None
) -> None:
    """Retire a device: it is no longer watched or counted from now on; its past stays.

    Raises:
        RequestError: there is no such device within the scope.
    """
    async with connection.transaction():
        await enter(connection, scope)
        await connection.execute(QUERIES["lock"])
        cursor = await connection.execute(QUERIES["retire_device"], {"enterprise": enterprise, "code": code})
        if cursor.rowcount == 0:
            raise _absent(enterprise, code)
        source = f"device {enterprise}/{code}"
        await record(connection, actor=actor, scope=scope, action="retire-device", source=source)


async def _present(connection: AsyncConnection[Any], enterprise: str, code: str, scope: int | None) -> None:
    async with connection.transaction():
        await enter(connection, scope)
        cursor = await connection.execute(QUERIES["device_present"], {"enterprise": enterprise, "code": code})
        if await cursor.fetchone() is None:
            raise _absent(enterprise, code)


def _absent(enterprise: str, code: str) -> RequestError:
    return RequestError(f"no device {enterprise}/{code}", status=404, code="not-found")


async def record_decision(
    connection: AsyncConnection[Any],
    *,
    gateway: str,
    protocol: str,
    thumbprint: str,
    trust: bool,
    actor: str,
    scope: int | None,
) -> None:
    """Write down who decided whether a gateway trusts a certificate, beside the changes of the book."""
    async with connection.transaction():
        await enter(connection, scope)
        await record(
            connection,
            actor=actor,
            scope=scope,
            action="trust-certificate" if trust else "refuse-certificate",
            source=f"gateway {gateway} {protocol} {thumbprint}",
        )
