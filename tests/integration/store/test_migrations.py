"""Migrations on a real server: twice is once, a killed one leaves nothing, a newer database is refused."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterator
from typing import LiteralString, cast

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from muster.errors import ConfigError, Unavailable
from store import migrations
from store.connection import connected, pool
from store.migrations import Migration, check, migrate
from store.roles import set_passwords
from tests.conftest import Database


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"muster_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield make_conninfo(postgres, dbname=name)
        owner.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def with_one_more(monkeypatch: pytest.MonkeyPatch, text: str, number: int = 9999) -> None:
    given = (*migrations.migrations(), Migration(number, "one_more", cast(LiteralString, text)))
    monkeypatch.setattr(migrations, "migrations", lambda: given)


async def test_migrating_twice_is_migrating_once(empty: str) -> None:
    assert await migrate(empty) == [migration.name for migration in migrations.migrations()]
    assert await migrate(empty) == []


async def test_two_programs_that_migrate_at_once_wait_for_one_another(empty: str) -> None:
    results = await asyncio.gather(*(migrate(empty) for _ in range(4)))
    assert sorted(len(names) for names in results) == [0, 0, 0, len(migrations.migrations())]


async def test_a_migration_killed_halfway_leaves_nothing_and_can_be_run_again(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        kill = "create table half (a integer); select pg_terminate_backend(pg_backend_pid());"
        with_one_more(patched, kill)
        with pytest.raises(Unavailable):
            await migrate(empty)
    with psycopg.connect(empty) as connection:
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)
        (count,) = connection.execute("select count(*) from migration").fetchone() or (0,)
        assert count == len(migrations.migrations())
    with_one_more(monkeypatch, "create table half (a integer);")
    assert await migrate(empty) == ["one_more"]


async def test_a_migration_that_is_refused_names_itself(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_one_more(monkeypatch, "create table enterprise (a integer);")
    with pytest.raises(ConfigError, match="9999 one_more"):
        await migrate(empty)


async def test_an_older_program_refuses_a_newer_database(empty: str) -> None:
    await migrate(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("insert into migration (number, name, sha256) values (9000, 'later', '')")
    with pytest.raises(ConfigError, match=r"newer Muster \(migration 9000 later\)"):
        await migrate(empty)


async def test_an_altered_migration_is_noticed(empty: str) -> None:
    await migrate(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(
            "update migration set sha256 = %s where number = 2", (hashlib.sha256(b"else").digest(),)
        )
    with pytest.raises(ConfigError, match="0002 device_book"):
        await migrate(empty)


async def test_a_process_checks_the_version_before_it_works(empty: str, database: Database) -> None:
    async with connected(empty, "test") as connection:
        with pytest.raises(ConfigError, match="run the set-up first"):
            await check(connection)
    for dsn in (database.ingest, database.api, database.notary):
        async with connected(dsn, "test") as connection:
            await check(connection)


async def test_a_database_in_another_encoding_is_refused(postgres: str) -> None:
    name = f"muster_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        identifier = sql.Identifier(name)
        owner.execute(
            sql.SQL("create database {} encoding 'LATIN1' locale 'C' template template0").format(identifier)
        )
        try:
            with pytest.raises(ConfigError, match="UTF8 is needed"):
                await migrate(make_conninfo(postgres, dbname=name))
        finally:
            owner.execute(sql.SQL("drop database {} with (force)").format(identifier))


async def test_a_wrong_address_or_password_is_a_configuration_error(
    database: Database, free_port: int
) -> None:
    for wrong in ({"password": "no"}, {"user": "nobody_here"}, {"dbname": "no_such"}):
        with pytest.raises(ConfigError):
            await migrate(make_conninfo(database.ingest, **wrong))
    with pytest.raises(ConfigError):
        await migrate("this is = no address =")
    with pytest.raises(Unavailable):
        await migrate(make_conninfo(database.ingest, port=str(free_port)))


async def test_passwords_are_set_for_known_roles_only(database: Database) -> None:
    with pytest.raises(ConfigError, match="pg_monitor"):
        await set_passwords(database.owner, {"pg_monitor": "x"})
    with pytest.raises(ConfigError, match="empty"):
        await set_passwords(database.owner, {"muster_api": ""})


async def test_a_pool_replaces_connections_that_the_server_ended(database: Database) -> None:
    async with pool(database.api, "test", least=1, most=1) as made:
        async with made.connection() as connection:
            row = await (
                await connection.execute("select pg_backend_pid(), current_setting('timezone')")
            ).fetchone()
            assert row is not None
            assert row[1] == "UTC"
        with psycopg.connect(database.owner, autocommit=True) as owner:
            owner.execute("select pg_terminate_backend(%s)", (row[0],))
        async with made.connection() as connection:
            await connection.execute("select 1")
