"""The embedded PostgreSQL runs with what the installation's file says of it."""

import secrets
from pathlib import Path

import psycopg

from deploy import postgres
from deploy.child import running


async def test_the_server_has_the_cache_that_it_is_given(served: Path, free_port: int) -> None:
    server = postgres.Embedded(served / "cached", free_port, secrets.token_hex(16), 64 * 2**20)
    with running(postgres.prepare(server)):
        await postgres.ready(server)
        with psycopg.connect(server.dsn()) as session:
            assert session.execute("show shared_buffers").fetchone() == ("64MB",)
