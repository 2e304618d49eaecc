"""Connections to PostgreSQL, and the one translation of its errors into the duties of `muster.errors`.

Every session speaks UTC and names its process, so that `pg_stat_activity` reads like a list of who is there. None has
its plans compiled: the queries are shorter than that takes.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from muster.errors import ConfigError, MusterError, Unavailable

CONNECT_TIMEOUT_S = 5

_WRONG = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "is not permitted to log in",
    "invalid connection option",
    "invalid integer value",
    "could not translate host name",
)
"""What the server or libpq says when trying again cannot help; a refused connection has no SQLSTATE."""

_WRONG_CLASSES = ("28", "3D", "3F")
"""SQLSTATE classes of a wrong role or password, a wrong database, a wrong schema."""


def translate(error: psycopg.Error) -> MusterError:
    """Return the error that says what the caller of a database call must do."""
    said = str(error).strip() or type(error).__name__
    if isinstance(error, psycopg.OperationalError):
        refused = error.sqlstate is None and any(words in said for words in _WRONG)
        if refused or (error.sqlstate or "").startswith(_WRONG_CLASSES):
            return ConfigError(f"database: {said}")
        return Unavailable(f"database: {said}")
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigError(f"database: {said}")
    return Unavailable(f"database: {said}")


@contextmanager
def translated() -> Iterator[None]:
    """Raise `Unavailable` or `ConfigError` for what psycopg raises inside.

    Errors that speak of the data (`psycopg.DataError`, `psycopg.IntegrityError`) pass unchanged: only the
    caller knows whose fault they are.
    """
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError):
        raise
    except psycopg.Error as error:
        raise translate(error) from error
    except PoolTimeout as error:
        raise Unavailable(f"database: {error}") from error


def options(name: str, **settings: str | int) -> dict[str, Any]:
    """Return psycopg's connection arguments for the process `name`; `settings` are session parameters."""
    spoken = {"timezone": "UTC", "jit": "off", **settings}
    return {
        "application_name": f"muster {name}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": " ".join(f"-c {key}={value}" for key, value in spoken.items()),
    }


async def connect(dsn: str, name: str, **settings: str | int) -> AsyncConnection[TupleRow]:
    """Open one connection in autocommit mode; the caller closes it.

    Raises:
        ConfigError: the address, the role or the password is wrong.
        Unavailable: the server cannot be reached now.
    """
    with translated():
        try:
            return await AsyncConnection.connect(dsn, autocommit=True, **options(name, **settings))
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"database address: {error}") from error


@asynccontextmanager
async def connected(dsn: str, name: str, **settings: str | int) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Give one connection in autocommit mode for the length of the block, its errors translated."""
    connection = await connect(dsn, name, **settings)
    try:
        with translated():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def pool(
    dsn: str, name: str, least: int = 1, most: int = 8, wait_s: float = 5.0
) -> AsyncIterator[AsyncConnectionPool[AsyncConnection[TupleRow]]]:
    """Give a pool of connections in autocommit mode; a broken one is replaced before it is handed out.

    Raises:
        ConfigError: the address, the role or the password is wrong; found by one connection made first.
        Unavailable: the server cannot be reached now.
    """
    await (await connect(dsn, name)).close()
    made: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
        dsn,
        kwargs={"autocommit": True, **options(name)},
        min_size=least,
        max_size=most,
        timeout=wait_s,
        check=AsyncConnectionPool.check_connection,
        name=name,
        open=False,
    )
    await made.open()
    try:
        yield made
    finally:
        await made.close()
