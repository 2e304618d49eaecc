"""Gateways of several processes in the device book: who belongs to which, what is pinned, and who holds what."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from muster.errors import RequestError
from services.ledger.queries import QUERIES
from services.ledger.registered import enter
from services.ledger.writer import record

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Holder:
    """A gateway process: the gateway whose devices it shares (itself when alone), and what it holds.

    devices: how many it holds, of which `pinned` nobody takes over. since: when it was last given one. watched_until:
    up to when what it watched is stored.
    """

    code: str
    head: str
    devices: int
    pinned: int
    since: datetime | None
    watched_until: datetime | None


async def set_members(
    connection: Connection, head: str, members: Collection[str], gone: Collection[str]
) -> bool:
    """Let the processes `members` share the devices of `head`, those in `gone` no longer; return if it is shared."""
    async with connection.transaction():
        await enter(connection, None)
        await connection.execute(QUERIES["join_gateway"], {"head": head, "codes": list(members)})
        await connection.execute(QUERIES["leave_gateway"], {"codes": list(gone)})
        await connection.execute(QUERIES["alone"], {"head": head})
        found = await connection.execute(QUERIES["gateway_members"], {"head": head})
        return bool(await found.fetchall())


async def members_of(connection: Connection, head: str) -> list[str]:
    """Return the processes that share the devices of `head` beside itself."""
    async with connection.transaction():
        await enter(connection, None)
        found = await connection.execute(QUERIES["gateway_members"], {"head": head})
        return [row[0] for row in await found.fetchall()]


async def pin(connection: Connection, process: str | None, devices: Sequence[str], actor: str) -> list[str]:
    """Pin devices, by code, to a process of their gateway, None: to none; return those that were.

    Raises:
        RequestError: a device is unknown, or the process is none of its gateway.
    """
    async with connection.transaction():
        await enter(connection, None)
        given = {"process": process, "devices": list(devices)}
        found = [row[0] for row in await (await connection.execute(QUERIES["pin"], given)).fetchall()]
        missing = sorted(set(devices) - set(found))
        if missing:
            raise RequestError(
                f"{', '.join(missing)}: not a device of this gateway", status=404, code="not-found"
            )
        await record(connection, actor=actor, scope=None, action="pin", source=f"gateway {process or '-'}")
    return found


async def holders(connection: Connection) -> list[Holder]:
    """Return every gateway process with what it holds."""
    async with connection.transaction():
        await enter(connection, None)
        async with connection.cursor(row_factory=class_row(Holder)) as cursor:
            await cursor.execute(QUERIES["holders"])
            return await cursor.fetchall()


async def waiting(connection: Connection) -> int:
    """Return how many devices of gateways of several processes nobody holds."""
    async with connection.transaction():
        await enter(connection, None)
        row = await (await connection.execute(QUERIES["waiting_seats"])).fetchone()
        return int(row[0]) if row else 0
