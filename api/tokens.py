"""Tokens for the API: made, listed and revoked with the owner's connection; only their SHA-256 is kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from muster.errors import RequestError
from store.connection import connected
from store.queries import load

SQL = load("api", "tokens.sql")
PREFIX = "mst_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as listed; the token itself is shown once, when it is made."""

    id: int
    enterprise: str | None
    label: str
    may_write: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create(
    owner_dsn: str,
    label: str,
    *,
    enterprise: str | None = None,
    may_write: bool = False,
    lasts: timedelta | None = None,
) -> tuple[int, str]:
    """Make a token and return its number and itself, which is kept nowhere.

    enterprise: the code of the only enterprise it sees; None is the operator's view of all.

    Raises:
        RequestError: there is no such enterprise, or the label is empty.
    """
    if not label.strip():
        raise RequestError("label: it is empty", code="not-valid")
    token = PREFIX + secrets.token_urlsafe(32)
    async with connected(owner_dsn, "tokens") as connection:
        cursor = await connection.execute(
            SQL["create"],
            {
                "enterprise": enterprise,
                "label": label,
                "sha256": hashlib.sha256(token.encode()).digest(),
                "may_write": may_write,
                "lasts": lasts,
            },
        )
        row = await cursor.fetchone()
    if row is None:
        raise RequestError(f"enterprise {enterprise}: there is none", status=404, code="not-found")
    return row[0], token


async def list_tokens(owner_dsn: str) -> list[Token]:
    """Return every token ever made, by number."""
    async with (
        connected(owner_dsn, "tokens") as connection,
        connection.cursor(row_factory=class_row(Token)) as cursor,
    ):
        await cursor.execute(SQL["list"])
        return await cursor.fetchall()


async def revoke(owner_dsn: str, number: int) -> None:
    """Refuse a token from now on (within two seconds).

    Raises:
        RequestError: there is no such token in force.
    """
    async with connected(owner_dsn, "tokens") as connection:
        cursor = await connection.execute(SQL["revoke"], {"id": number})
        if cursor.rowcount == 0:
            raise RequestError(f"token {number}: none in force", status=404, code="not-found")
