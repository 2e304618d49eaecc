"""Real servers for the benchmarks: an embedded PostgreSQL and a NATS server of their own, for the length of a block."""

import asyncio
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bus import connection
from bus.settings import BusSettings
from deploy import nats, postgres
from deploy.child import running
from simulators.modbus.ports import free_ports
from store.migrations import migrate
from store.roles import set_passwords

STREAM_BYTES = 4 * 2**30
_USERS = ("launcher", "ingest", "gateway-1")


@dataclass(frozen=True, slots=True)
class Servers:
    """A folder for this run, the database's owner, ingest's connection string, and the bus by user."""

    folder: Path
    owner: str
    ingest: str
    bus: dict[str, BusSettings]


@contextmanager
def servers() -> Iterator[Servers]:
    """Run both servers, the database migrated and the stream made."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        database_port, bus_port = free_ports(2)
        database = postgres.Embedded(folder / "postgres", database_port, secrets.token_hex(16))
        passwords = {user: secrets.token_hex(16) for user in _USERS}
        files = {}
        for user, password in passwords.items():
            files[user] = folder / f"{user}.secret"
            files[user].touch(mode=0o600)
            files[user].write_text(password, "utf-8")
        bus = nats.Embedded(folder / "nats", bus_port, STREAM_BYTES)
        with running(postgres.prepare(database)), running(nats.prepare(bus, passwords)):
            ways = {user: bus.settings(user, files[user]) for user in _USERS}
            asyncio.run(_make_ready(database, ways["launcher"]))
            yield Servers(folder, database.dsn(), database.dsn("muster_ingest", database.password), ways)


async def _make_ready(database: postgres.Embedded, way: BusSettings) -> None:
    await postgres.ready(database)
    await migrate(database.dsn())
    await set_passwords(database.dsn(), {"muster_ingest": database.password})
    client = await connection.connect_patiently(way, "bench", asyncio.Event())
    assert client is not None
    await connection.ensure_stream(client.jetstream(), STREAM_BYTES)
    await connection.ensure_bucket(client.jetstream())
    await client.close()
