"""The SQL files: numbered without holes, every statement named and described, every table guarded."""

import re
from importlib import resources

import psycopg
import pytest

from store.migrations import migrations
from store.queries import load
from tests.conftest import Database

UNGUARDED = {
    "migration": "no enterprise's data: numbers and checksums",
    "reader": "no direct grant to a tenant's role",
    "presence_memory": "only ingest reads it",
    "retention": "names and sizes of partitions",
    "rollup_due": "minutes to roll up",
    "rollup_hour_due": "hours to roll up",
    "stream_position": "places in the stream",
    "scan": "reached through views only",
    "scan_other": "reached through views only",
    "reading_text": "reached through views only",
    "batch": "reached through views only",
    "device_minutes": "reached through views only",
    "rollup_minute": "reached through views only",
    "rollup_hour": "reached through views only",
}
"""Tables without row security, with the reason; of these a tenant's role may read only what says nothing of one."""

OPEN = {"migration", "retention", "rollup_due", "stream_position"}


def files() -> list[tuple[str, str]]:
    found = []
    for package in ("store", "ingest"):
        for file in resources.files(package).iterdir():
            if file.name.endswith(".sql"):
                found.append((package, file.name))
    return sorted(found)


def test_migrations_are_numbered_without_holes() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize(("package", "file"), files())
def test_every_statement_is_named_and_described(package: str, file: str) -> None:
    statements = load(package, file)
    text = resources.files(package).joinpath(file).read_text("utf-8")
    for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]:
        name, first, *_ = block.splitlines()
        assert first.startswith("-- "), name
    assert all(statements.values())


def test_every_table_has_row_security_or_a_reason(database: Database) -> None:
    with psycopg.connect(database.owner) as connection:
        tables = connection.execute(
            "select relname, relrowsecurity and relforcerowsecurity from pg_class"
            " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
        ).fetchall()
        for name, guarded in tables:
            assert guarded != (name in UNGUARDED), name
            if not guarded and name not in OPEN:
                for role in ("muster_api", "muster_reader"):
                    row = connection.execute(
                        "select has_table_privilege(%s, %s, 'select')", (role, name)
                    ).fetchone()
                    assert row == (False,), (role, name)


def test_every_view_that_people_read_is_a_security_barrier(database: Database) -> None:
    with psycopg.connect(database.owner) as connection:
        views = connection.execute(
            "select relname, coalesce(reloptions::text, '') from pg_class"
            " where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')"
            " and has_table_privilege('muster_api', oid, 'select')"
        ).fetchall()
    assert views
    for name, options in views:
        assert "security_barrier" in options or "security_invoker" in options, name
