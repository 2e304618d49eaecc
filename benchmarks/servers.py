"""Real servers for the benchmarks: an embedded PostgreSQL and a NATS server of their own, for the length of a block.

`MUSTER_TEST_DATABASE_URL` names another PostgreSQL to measure on, such as one with TimescaleDB in its template; its
role must be able to make roles and databases.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

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
    """A folder for this run, the database's owner, ingest's connection string, the bus by user, and process ids.

    pids: of `nats`, and of `postgres` unless another server is measured on.
    """

    folder: Path
    owner: str
    ingest: str
    bus: dict[str, BusSettings]
    pids: dict[str, int]


@contextmanager
def servers(devices: int = 0) -> Iterator[Servers]:
    """Run both servers, the database migrated, with a cache for so many devices, and the stream made."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        (bus_port,) = free_ports(1)
        passwords = {user: secrets.token_hex(16) for user in _USERS}
        files = {}
        for user, password in passwords.items():
            files[user] = folder / f"{user}.secret"
            files[user].touch(mode=0o600)
            files[user].write_text(password, "utf-8")
        bus = nats.Embedded(folder / "nats", bus_port, STREAM_BYTES)
        with _database(folder, devices) as (owner, pids), running(nats.prepare(bus, passwords)) as process:
            ways = {user: bus.settings(user, files[user]) for user in _USERS}
            password = secrets.token_hex(16)
            asyncio.run(_make_ready(owner, password, ways["launcher"]))
            ingest = make_conninfo(owner, user="muster_ingest", password=password)
            yield Servers(folder, owner, ingest, ways, pids | {"nats": process.pid})


@contextmanager
def _database(folder: Path, devices: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Give a new database's owner's connection string and its server's process id, if that is embedded."""
    named = os.environ.get("MUSTER_TEST_DATABASE_URL")
    if named is None:
        (port,) = free_ports(1)
        cache_bytes = max(postgres.CACHE_BYTES, devices * postgres.CACHE_OF_A_DEVICE)
        server = postgres.Embedded(folder / "postgres", port, secrets.token_hex(16), cache_bytes)
        with running(postgres.prepare(server)) as process:
            asyncio.run(postgres.ready(server))
            yield server.dsn(), {"postgres": process.pid}
        return
    name = f"muster_bench_{secrets.token_hex(4)}"
    with psycopg.connect(named, autocommit=True) as session:
        session.execute(f'create database "{name}"')
        try:
            yield make_conninfo(named, dbname=name), {}
        finally:
            session.execute(f'drop database if exists "{name}" with (force)')


async def _make_ready(owner: str, password: str, way: BusSettings) -> None:
    await migrate(owner)
    await set_passwords(owner, {"muster_ingest": password})
    client = await connection.connect_patiently(way, "bench", asyncio.Event())
    assert client is not None
    await connection.ensure_stream(client.jetstream(), STREAM_BYTES)
    await connection.ensure_bucket(client.jetstream())
    await client.close()
