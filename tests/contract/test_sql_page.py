"""The SQL page's queries run as they stand there, for the owner and for a role that sees one enterprise."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.conftest import Database
from tests.integration.ingest.pretend import Installation

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
QUERIES = re.findall(r"\*\*(.+?)\*\*[^\n]*\n\n```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
EMPTY = {"What was never acquired, and why", "What a device went through", "What retention has dropped"}


@pytest.fixture
def reader(database: Database) -> Iterator[tuple[str, str]]:
    """A plant with a minute of scans, and a reader of its enterprise; gives its connection and a tag's name."""
    plant = Installation.make(database.owner, devices=2)
    (device, _) = plant.devices[plant.gateways[0]]
    role, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(
            "insert into scan select %s, now() - make_interval(secs => n), now(), '{1,2}', null, 1"
            " from generate_series(0, 59) n",
            (device,),
        )
        for table in ("rollup_minute", "rollup_hour"):
            owner.execute(
                f"insert into {table} values (%s, now(), '{{60}}', '{{60}}', '{{1}}', '{{1}}', '{{1}}', '{{1}}')",
                (device,),
            )
        row = owner.execute("select name from tag where device = %s and position = 1", (device,)).fetchone()
        assert row is not None
        owner.execute(
            sql.SQL("create role {} login password {} in role muster_reader").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )
        owner.execute("insert into reader (role, enterprise) values (%s, 1)", (role,))
        yield make_conninfo(database.owner, user=role, password=password), str(row[0])
        owner.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_the_page_has_queries() -> None:
    assert len(QUERIES) == PAGE.read_text("utf-8").count("```sql")
    assert {title for title, _ in QUERIES} >= EMPTY


def test_every_query_runs_and_finds_what_is_there(database: Database, reader: tuple[str, str]) -> None:
    dsn, tag = reader
    for address in (dsn, database.owner):
        with psycopg.connect(address) as session:
            for title, query in QUERIES:
                filled = query.replace(":device", "1").replace(":'tag'", f"'{tag}'")
                found = session.execute(filled.encode()).fetchall()
                assert bool(found) is (title not in EMPTY), title
