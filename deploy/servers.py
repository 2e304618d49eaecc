"""The database and the bus of an installation: embedded and kept running here, or the user's own."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import psycopg
from nats.aio.client import Client
from psycopg.conninfo import make_conninfo

from bus import connection, subjects
from bus.settings import BusSettings
from deploy import nats, postgres
from deploy.layout import Layout
from deploy.progress import step, tell
from deploy.site import Site
from deploy.supervisor import Supervisor
from muster.errors import ConfigError, IntegrityError, Unavailable
from store.migrations import migrate
from store.roles import ROLES, set_passwords


@dataclass(frozen=True, slots=True)
class Dsns:
    """A connection string for each role."""

    owner: str
    ingest: str
    api: str
    notary: str


@dataclass(frozen=True, slots=True)
class Road:
    """The way of each user to the bus."""

    embedded: nats.Embedded | None
    given: BusSettings | None
    layout: Layout

    def settings(self, user: str) -> BusSettings:
        """Return a user's way."""
        if self.embedded is not None:
            return self.embedded.settings(user, self.layout.secret_file(f"nats-{user}"))
        if self.given is None:
            raise ConfigError("bus: neither embedded nor given")
        return self.given


async def bring_up_database(site: Site, layout: Layout, supervisor: Supervisor, port: int) -> Dsns:
    """Bring the database up, migrated, with a password for each role.

    Raises:
        ConfigError: the server or its data are of a wrong version, or the credentials are refused.
        IntegrityError: data are damaged.
    """
    if site.database is None:
        password = layout.secret("postgres-owner")
        server = postgres.Embedded(layout.postgres, port, password, site.storage.cache_bytes)
        after_crash = postgres.crashed(server)
        with step("launch.postgres"):
            command = await asyncio.to_thread(postgres.prepare, server)
            await supervisor.add(command)
            await postgres.ready(server)
        owner = server.dsn()
        if after_crash:
            with step("launch.checking"):
                await check_data(owner)
    else:
        owner = site.database.url
        if site.database.password_file is not None:
            owner = make_conninfo(owner, password=_secret_of(site.database.password_file))
    with step("launch.migrating"):
        applied = await migrate(owner)
        passwords = {role: layout.secret(f"postgres-{role}") for role in ROLES}
        await set_passwords(owner, passwords)
    if applied:
        tell("launch.migrated", count=len(applied))

    def dsn(role: str) -> str:
        return make_conninfo(owner, user=role, password=passwords[role])

    return Dsns(owner, dsn("muster_ingest"), dsn("muster_api"), dsn("muster_notary"))


async def check_data(owner: str) -> None:
    """Read after a crash what a crash could have torn: every page of the newest data, checksums and all.

    Raises:
        IntegrityError: a page cannot be read back as it was written.
    """
    async with await psycopg.AsyncConnection.connect(owner) as session:
        try:
            await session.execute("select count(*) from pg_catalog.pg_class")
            for relation in ("stream_position", "gateway_position", "device", "tag", "watch"):
                there = await session.execute("select to_regclass(%s) is not null", (relation,))
                found = await there.fetchone()
                if found is not None and found[0]:
                    await session.execute(f"select count(*) from {relation} as r where r is not null")  # noqa: S608
            there = await session.execute("select to_regclass('scan') is not null")
            found = await there.fetchone()
            if found is not None and found[0]:
                await session.execute(
                    "select sum(array_length(value, 1)) from scan where time > now() - interval '1 hour'"
                )
        except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted) as error:
            raise IntegrityError(f"database: {error}") from error


async def bring_up_bus(
    site: Site, layout: Layout, supervisor: Supervisor, port: int, gateways: list[int]
) -> Road:
    """Bring the bus up; `gateways` are the numbers that get a user of their own.

    Raises:
        ConfigError: the credentials are refused, or there is no server program.
    """
    if site.bus is None:
        server = nats.Embedded(
            layout.nats, port, site.ingest.stream_limit_bytes, layout.kept_port("mqtt", site.mqtt.port)
        )
        users = [
            *nats.MQTT_USERS,
            "launcher",
            "api",
            "ingest",
            "keeper",
            *(f"gateway-{number}" for number in gateways),
        ]
        passwords = {user: layout.secret(f"nats-{user}") for user in users}
        road = Road(server, None, layout)
        with step("launch.nats"):
            await supervisor.add(nats.prepare(server, passwords))
            await nats.ready(server)
            await _ensure(road.settings("launcher"), site)
        return road
    road = Road(None, site.bus, layout)
    with step("launch.bus"):
        await _ensure(site.bus, site)
    return road


async def _ensure(settings: BusSettings, site: Site) -> None:
    client = await _connected(settings)
    try:
        await connection.ensure_stream(client.jetstream(), site.ingest.stream_limit_bytes)
        await connection.ensure_bucket(client.jetstream())
        await connection.ensure_bucket(client.jetstream(), bucket=subjects.LEASE_BUCKET)
    finally:
        await client.close()


async def _connected(settings: BusSettings) -> Client:
    """Connect, saying once that the bus is away for as long as it is."""
    said = False
    while True:
        try:
            return await connection.connect(settings, "launcher")
        except Unavailable as error:
            if not said:
                tell("launch.bus-waits", url=settings.url, words=error)
            said = True
            await asyncio.sleep(1.0)


def _secret_of(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
