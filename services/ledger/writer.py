"""A book into the database: checked and written in one transaction, or not at all.

One change at a time in the whole installation (advisory lock), so that a plan is true when it is carried out.
The transaction sees and changes only what its scope may; the database's row security holds the same line.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection

from muster.device import MOST_POSITIONS
from muster.errors import RequestError
from muster.protocol import ProtocolInfo
from services.ledger.checks import resolve
from services.ledger.document import Book
from services.ledger.problems import Counts, Report
from services.ledger.queries import QUERIES
from services.ledger.registered import enter, read_registered
from services.ledger.resolution import Writes

T = TypeVar("T")
CHUNK = 2_000
"""Entries per statement: a statement is some hundred kB, whatever the book's size."""


async def apply(
    connection: AsyncConnection[Any],
    book: Book,
    protocols: Mapping[str, ProtocolInfo],
    *,
    dry_run: bool,
    actor: str,
    scope: int | None,
    retire_missing: bool = False,
    action: str = "import",
) -> Report:
    """Check the book beside the database and, unless it is wrong or `dry_run`, write it.

    connection: as `muster_api`. actor: who does this, for the audit. scope: the number of the one enterprise
    that may be touched, None for the operator. retire_missing: devices of the enterprises named in the book
    which it does not list are retired.

    Raises:
        RequestError: the database refuses what the check had let pass (somebody else was quicker).
    """
    try:
        async with connection.transaction():
            await enter(connection, scope)
            if not dry_run:
                await connection.execute(QUERIES["lock"])
            registered = await read_registered(
                connection,
                scope,
                gateways=[entry.code for entry in book.gateways],
                models=[entry.code for entry in book.models],
            )
            resolution = await asyncio.to_thread(
                resolve, book, protocols, registered, retire_missing=retire_missing
            )
            report = resolution.report()
            if report.ok and not dry_run:
                await _write(connection, resolution.writes)
                await record(
                    connection,
                    actor=actor,
                    scope=scope,
                    action=action,
                    source=book.source,
                    sha256=book.sha256,
                    counts=report.counts,
                )
                report.applied = True
    except psycopg.errors.IntegrityError as error:
        if error.diag.constraint_name == "tag_position_check":
            problem = (
                f"a device has positions for {MOST_POSITIONS} tags, and each new meaning of one needs its own"
            )
            raise RequestError(problem, status=409, code="positions-used-up") from error
        raise RequestError(
            f"the database refuses the book: {error.diag.message_primary}", status=409, code="book-conflict"
        ) from error
    return report


async def _write(connection: AsyncConnection[Any], writes: Writes) -> None:
    for name, rows in (
        ("put_enterprises", writes.enterprises),
        ("put_sites", writes.sites),
        ("put_gateways", writes.gateways),
        ("put_models", writes.models),
    ):
        for chunk in _chunks(rows):
            await connection.execute(QUERIES[name], {"rows": _json(chunk)})
    for gateway in writes.gateways:
        for key in gateway.keys:
            await connection.execute(QUERIES["put_key"], {"gateway": gateway.code, "key": key})
    numbers = await _write_devices(connection, writes)
    for devices in _chunks(writes.retire):
        await connection.execute(QUERIES["retire_devices"], {"devices": devices})
    for devices in _chunks(writes.retagged):
        for name in ("retire_tags", "keep_tags", "add_tags"):
            await connection.execute(QUERIES[name], {"devices": devices})
    for devices in _chunks(numbers):
        await connection.execute(QUERIES["first_tags"], {"devices": devices})


async def _write_devices(connection: AsyncConnection[Any], writes: Writes) -> list[int]:
    """Write new and changed devices with their attestations, and return the numbers of the new ones."""
    new = [row for row in writes.devices if row.number is None]
    changed = [row for row in writes.devices if row.number is not None]
    numbers: list[int] = []
    for chunk in _chunks(new):
        cursor = await connection.execute(QUERIES["add_devices"], {"rows": _json(chunk)})
        numbers.extend(row[0] for row in await cursor.fetchall())
    for row, number in zip(new, numbers, strict=True):
        row.number = number
    for attestation in writes.attestations:
        facts = msgspec.structs.asdict(attestation) | {"device": attestation.device.number}
        await connection.execute(QUERIES["add_attestation"], facts)
    for chunk in _chunks(changed):
        await connection.execute(QUERIES["change_devices"], {"rows": _json(chunk)})
    for devices in _chunks([row.number for row in new if row.origin == "real"]):
        await connection.execute(QUERIES["make_real"], {"devices": devices})
    return numbers


async def record(
    connection: AsyncConnection[Any],
    *,
    actor: str,
    scope: int | None,
    action: str,
    source: str,
    sha256: bytes = b"",
    counts: dict[str, Counts] | None = None,
) -> None:
    """Write down who changes the book, within the transaction that does."""
    await connection.execute(
        QUERIES["record_change"],
        {
            "scope": scope,
            "actor": actor,
            "action": action,
            "source": source,
            "sha256": sha256 or None,
            "counts": _json(counts or {}),
        },
    )


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
