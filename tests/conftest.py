"""Real servers for the tests: one embedded PostgreSQL and one NATS server a session, fresh content a test.

`MUSTER_TEST_DATABASE_URL` names another PostgreSQL to run on; its role must be able to make roles and
databases.
Everything listens on loopback, on free ports, and is stopped by process id.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from nats.aio.client import Client
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from bus import connection
from bus.settings import BusSettings
from deploy import nats as embedded_nats
from deploy import postgres as embedded_postgres
from deploy.child import running
from simulators.modbus import ports
from simulators.modbus.ports import free_ports
from store.migrations import migrate
from store.roles import ROLES, set_passwords

settings.register_profile("muster", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("muster")  # no test asserts on time, not even on how long it takes to make an example


def _ports_of_this_worker() -> None:
    """Look for ports in a half of one's own, so that no worker binds what the other was just given."""
    lowest, below = ports.bounds()
    middle = (lowest + below) // 2
    halves = {"gw0": (lowest, middle), "gw1": (middle, below)}
    mine = halves.get(os.environ.get("PYTEST_XDIST_WORKER", ""), (lowest, below))
    pytest.MonkeyPatch().setattr(ports, "bounds", lambda: mine)


_ports_of_this_worker()


def a_free_port() -> int:
    """Return a port below those that the system gives to outgoing connections, so that none takes it meanwhile."""
    (port,) = free_ports(1)
    return port


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    return a_free_port()


@pytest.fixture(scope="session")
def served() -> Iterator[Path]:
    """A folder for this session's servers, which an unprivileged server can reach."""
    folder = Path(tempfile.mkdtemp(prefix="muster-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(served: Path) -> Iterator[str]:
    """The connection string of a role that owns the server."""
    named = os.environ.get("MUSTER_TEST_DATABASE_URL")
    if named:
        yield named
        return
    server = embedded_postgres.Embedded(served / "postgres", a_free_port(), secrets.token_hex(16))
    with running(embedded_postgres.prepare(server)):
        asyncio.run(embedded_postgres.ready(server))
        yield server.dsn()


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database of its own: a connection string for each role."""

    owner: str
    ingest: str
    api: str
    notary: str


PASSWORDS = {role: secrets.token_hex(16) for role in ROLES}


def _create(owner: psycopg.Connection[TupleRow], name: str, source: str) -> None:
    """Make a database like `source`, into which the server's own workers may look just now (TimescaleDB's do)."""
    for _ in range(10):
        try:
            owner.execute(f'create database "{name}" template {source}')
            return
        except psycopg.errors.ObjectInUse:
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (source,)
            )
    raise RuntimeError(f"{source} stays in use")


@contextmanager
def _template(postgres: str, source: str) -> Iterator[str]:
    """Make a migrated database to copy from; nobody, not even the server's own workers, stays connected to it."""
    name = f"muster_template_{secrets.token_hex(4)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        _create(owner, name, source)
        dsn = make_conninfo(postgres, dbname=name)
        asyncio.run(migrate(dsn))
        asyncio.run(set_passwords(dsn, PASSWORDS))
        owner.execute(f'alter database "{name}" allow_connections false')
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        yield name
        owner.execute(f'drop database if exists "{name}" with (force)')


@contextmanager
def _copy(postgres: str, template: str) -> Iterator[Database]:
    name = f"muster_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(f'create database "{name}" template "{template}"')

        def dsn(role: str) -> str:
            return make_conninfo(postgres, dbname=name, user=role, password=PASSWORDS[role])

        yield Database(
            make_conninfo(postgres, dbname=name),
            dsn("muster_ingest"),
            dsn("muster_api"),
            dsn("muster_notary"),
        )
        owner.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """A migrated database that the tests' databases are copied from: what the server's own template offers."""
    with _template(postgres, "template1") as name:
        yield name


@pytest.fixture(scope="session")
def plain_template(postgres: str) -> Iterator[str]:
    """The same without extensions."""
    with _template(postgres, "template0") as name:
        yield name


@pytest.fixture
def database(postgres: str, template: str) -> Iterator[Database]:
    """A freshly migrated, empty database."""
    with _copy(postgres, template) as made:
        yield made


@pytest.fixture
def plain_database(postgres: str, plain_template: str) -> Iterator[Database]:
    """The same on plain PostgreSQL, also where the server has TimescaleDB."""
    with _copy(postgres, plain_template) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Bus:
    """A NATS server with a user for each kind of process."""

    url: str
    passwords: dict[str, Path]

    def settings(self, user: str = "launcher") -> BusSettings:
        """Return a user's way to this server."""
        return BusSettings(url=self.url, user=user, password_file=self.passwords[user])


@pytest.fixture(scope="session")
def nats_server(served: Path) -> Iterator[Bus]:
    """The session's NATS server, JetStream synced with every write."""
    secret = {
        user: secrets.token_hex(16)
        for user in ("launcher", "api", "ingest", "keeper", *(f"gateway-{number}" for number in range(1, 10)))
    }
    files = {}
    for user, password in secret.items():
        files[user] = served / f"{user}.secret"
        files[user].touch(mode=0o600)
        files[user].write_text(password, "utf-8")
    server = embedded_nats.Embedded(served / "nats", a_free_port(), 2**30)
    bus = Bus(server.url, files)
    with running(embedded_nats.prepare(server, secret)):
        asyncio.run(_answering(bus))
        yield bus


async def _answering(bus: Bus) -> None:
    client = await connection.connect_patiently(bus.settings(), "wait", asyncio.Event())
    assert client is not None
    await client.close()


@pytest.fixture
async def nats(nats_server: Bus) -> Bus:
    """The NATS server, holding neither streams nor buckets when the test begins."""
    client = await connection.connect(nats_server.settings(), "clean")
    jetstream = client.jetstream()
    for info in await jetstream.streams_info():
        assert info.config.name is not None
        await jetstream.delete_stream(info.config.name)
    await client.close()
    return nats_server


@pytest.fixture
async def bus(nats: Bus) -> AsyncIterator[Client]:
    """A connection that may do everything, to an empty server."""
    client = await connection.connect(nats.settings(), "test")
    yield client
    await client.close()
