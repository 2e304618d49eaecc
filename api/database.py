"""The API's way to the database: every transaction is limited to what its viewer may see, by row-level security.

Reading transactions see one instant of the database, cannot write, and end after a time limit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from store.connection import translate
from store.queries import load

SQL = load("api", "queries.sql")


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading transaction. now: the database's clock when it began, by which everything is recorded."""

    connection: AsyncConnection[Any]
    now: datetime

    async def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a statement of `queries.sql`."""
        async with self.connection.cursor(row_factory=dict_row, binary=True) as cursor:
            await cursor.execute(SQL[name], parameters)
            return await cursor.fetchall()

    async def row(self, name: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the first row of a statement, None when there is none."""
        found = await self.rows(name, **parameters)
        return found[0] if found else None


class Database:
    """A pool of connections as `muster_api`."""

    def __init__(self, pool: AsyncConnectionPool[Any], timeout_s: float) -> None:
        self._pool = pool
        self._timeout_ms = round(timeout_s * 1000)

    @asynccontextmanager
    async def reading(self, scope: int | None) -> AsyncIterator[Reading]:
        """Give a transaction that sees what `scope` may: one enterprise by its number, or everything (None)."""
        async with self._pool.connection() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            async with connection.transaction():
                cursor = await connection.execute(
                    SQL["enter"],
                    {
                        "scope": "all" if scope is None else str(scope),
                        "timeout": str(self._timeout_ms),
                    },
                )
                row = await cursor.fetchone()
                assert row is not None
                yield Reading(connection, row[0])

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Give a connection in autocommit mode that has entered no scope, and so sees nothing yet."""
        async with self._pool.connection() as connection:
            await connection.set_isolation_level(None)
            await connection.set_read_only(None)
            yield connection

    async def token(self, digest: bytes) -> tuple[int, int | None, str | None, str, bool] | None:
        """Return (id, enterprise, its code, label, may write) of a token in force, by its SHA-256."""
        async with self.connection() as connection:
            cursor = await connection.execute(SQL["token"], {"digest": digest})
            found: tuple[int, int | None, str | None, str, bool] | None = await cursor.fetchone()
            return found

    async def check(self) -> str | None:
        """Return what is wrong with the database, None when it answers within two seconds."""
        try:
            async with asyncio.timeout(2), self.connection() as connection:
                await connection.execute("select 1")
        except TimeoutError:
            return "no answer within 2 s"
        except (psycopg.Error, PoolTimeout) as error:
            return str(translate(error)) if isinstance(error, psycopg.Error) else "every connection is busy"
        return None
