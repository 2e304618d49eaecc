"""Numbered migrations: each applied once, in order, in one transaction with its version row.

A killed migration leaves nothing behind; two programs that migrate at the same time wait for one another. A
migration that was applied never changes: its checksum is kept and compared.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.errors import ConfigError
from store import engine
from store.connection import connected, translated

LOCK = 0x4D555354
"""The advisory lock under which one program at a time migrates a database ("MUST")."""

LEAST_SERVER = 150_000
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE: LiteralString = """
create table if not exists migration (
    number integer primary key,
    name text not null,
    sha256 bytea not null,
    applied_at timestamptz not null default clock_timestamp()
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: LiteralString

    @property
    def sha256(self) -> bytes:
        """The checksum that is kept beside the number."""
        return hashlib.sha256(self.sql.encode()).digest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Return this program's migrations, in order.

    Raises:
        ConfigError: a number is given twice, so the installation is damaged.
    """
    found: list[Migration] = []
    for file in resources.files("store").joinpath("migrations").iterdir():
        if match := _NAME.fullmatch(file.name):
            sql = file.read_text("utf-8")
            found.append(Migration(int(match[1]), match[2], sql))
    found.sort(key=lambda migration: migration.number)
    if len({migration.number for migration in found}) != len(found):
        raise ConfigError("migrations: a number is given twice; install Muster again")
    return tuple(found)


async def migrate(dsn: str) -> list[str]:
    """Bring the database at `dsn` (as its owner) to this program's version; return the names applied now.

    Where the database has TimescaleDB, its tables use it from then on (`store.engine`).

    Raises:
        ConfigError: the database is newer than this program, was changed by hand, cannot hold Muster's data
            (PostgreSQL below 15, not UTF-8), or a statement was refused.
        Unavailable: the server cannot be reached now.
    """
    async with connected(dsn, "migrate") as connection:
        await _check_server(connection)
        await connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        try:
            await connection.execute(_TABLE)
            await connection.execute("grant select on migration to public")
            pending = _pending(await _applied(connection))
            for migration in pending:
                await _apply(connection, migration)
            await _settle(connection)
        finally:
            if not connection.broken:
                await connection.execute("select pg_advisory_unlock(%s)", (LOCK,))
    return [migration.name for migration in pending]


async def _settle(connection: AsyncConnection[TupleRow]) -> None:
    try:
        await engine.settle(connection, datetime.now(UTC))
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise ConfigError(f"TimescaleDB: {error}") from error


async def check(connection: AsyncConnection[TupleRow]) -> None:
    """Make sure that the database has exactly this program's version, whatever role the connection has.

    Raises:
        ConfigError: the database is newer, older or altered.
    """
    with translated():
        cursor = await connection.execute("select to_regclass('public.migration') is not null")
        row = await cursor.fetchone()
        applied = await _applied(connection) if row and row[0] else {}
    pending = _pending(applied)
    if pending:
        raise ConfigError(f"database: {len(pending)} migrations behind this program; run the set-up first")


async def _check_server(connection: AsyncConnection[TupleRow]) -> None:
    if connection.info.server_version < LEAST_SERVER:
        raise ConfigError(
            f"database: PostgreSQL {connection.info.server_version // 10_000}, at least 15 is needed"
        )
    cursor = await connection.execute("show server_encoding")
    row = await cursor.fetchone()
    if row is None or row[0] != "UTF8":
        raise ConfigError(f"database: encoding {row[0] if row else 'unknown'}, UTF8 is needed")


async def _applied(connection: AsyncConnection[TupleRow]) -> dict[int, tuple[str, bytes]]:
    cursor = await connection.execute("select number, name, sha256 from migration")
    return {number: (name, sha256) for number, name, sha256 in await cursor.fetchall()}


def _pending(applied: dict[int, tuple[str, bytes]]) -> list[Migration]:
    known = {migration.number: migration for migration in migrations()}
    newer = sorted(set(applied) - set(known))
    if newer:
        name = applied[newer[0]][0]
        raise ConfigError(
            f"database: holds data of a newer Muster (migration {newer[0]:04} {name}); this program knows "
            f"{len(known)}. Start the newer program, or give another data directory"
        )
    for number, (name, sha256) in sorted(applied.items()):
        if known[number].sha256 != sha256:
            raise ConfigError(
                f"database: migration {number:04} {name} is not the one that was applied here; "
                "the data come from another build of Muster"
            )
    return [migration for migration in migrations() if migration.number not in applied]


async def _apply(connection: AsyncConnection[TupleRow], migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into migration (number, name, sha256) values (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise ConfigError(f"migration {migration.number:04} {migration.name}: {error}") from error
