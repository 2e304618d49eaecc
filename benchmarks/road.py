"""The road behind the gateways under measurement: the ledger of its devices, one ingest worker, and what each costs."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.processes import cpu_s, memory_mb
from benchmarks.servers import STREAM_BYTES, Servers
from deploy.child import Command, running
from ingest.settings import Settings
from store import engine, partitions
from store.connection import connected


def register(around: Servers, key: Ed25519PrivateKey, members: list[range], tags: int) -> None:
    """Write gateways 1, 2, … with these devices each into the ledger, all signing with `key`, and make partitions.

    Tags come without the notice that each would give of itself: a million of them would take minutes.
    """
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with psycopg.connect(around.owner) as session:
        session.execute("insert into enterprise (code, name) values ('bench', 'bench')")
        session.execute("alter table tag disable trigger user")
        for number, devices in enumerate(members, 1):
            name = f"bench-{number}"
            session.execute("insert into gateway (code, name) values (%s, %s)", (name, name))
            session.execute("insert into gateway_key (gateway, public_key) values (%s, %s)", (number, public))
            session.execute(
                "insert into device (enterprise, gateway, code, name, device_class, protocol, origin)"
                " select 1, %s, 'B-' || n, 'bench ' || n, 'other', 'modbus', 'simulated'"
                " from generate_series(%s::integer, %s) n",
                (number, devices[0], devices[-1]),
            )
            session.execute(
                "insert into tag (device, position, enterprise, name, type, address)"
                " select d, p, 1, 't' || p, 'float64', '{}'"
                " from generate_series(%s::integer, %s) d, generate_series(1, %s) p",
                (devices[0], devices[-1], tags),
            )
        session.execute("alter table tag enable trigger user")
    asyncio.run(_make_partitions(around.owner))


async def _make_partitions(owner: str) -> None:
    """Make the partitions that an installation's keeper has made for the hours of the run."""
    async with connected(owner, "bench") as connection:
        in_chunks = (await engine.detect(connection)).hypertable
        for table in partitions.RAW_IN_CHUNKS if in_chunks else partitions.RAW:
            await partitions.ensure(connection, table, datetime.now(UTC), partitions.HOUR)


@contextmanager
def ingesting(around: Servers, name: str = "bench") -> Iterator[psutil.Process]:
    """Run one ingest worker."""
    settings = Settings(
        worker=name,
        database=around.ingest,
        bus=around.bus["ingest"],
        stream_limit_bytes=STREAM_BYTES,
    )
    file = around.folder / f"ingest-{name}.json"
    file.write_text(settings.model_dump_json(), "utf-8")
    argv = [sys.executable, "-m", "deploy.process", "ingest", "--settings", str(file)]
    with running(Command("ingest", argv, around.folder / f"ingest-{name}.log")) as process:
        yield psutil.Process(process.pid)


@contextmanager
def housekeeping(around: Servers) -> Iterator[psutil.Process]:
    """Run the keeper's work on the database."""
    file = around.folder / "owner"
    file.touch(mode=0o600)
    file.write_text(around.owner, "utf-8")
    argv = [sys.executable, "-m", "benchmarks.housekeeper", str(file)]
    with running(Command("housekeeper", argv, around.folder / "housekeeper.log")) as process:
        yield psutil.Process(process.pid)


def rolled_up_behind_s(around: Servers) -> float:
    """Return how long ago the oldest minute ended that is not rolled up; 0 when none is."""
    question = "select extract(epoch from clock_timestamp() - min(time) - interval '1 minute')::float8 from rollup_due"
    with psycopg.connect(around.owner) as session:
        row = session.execute(question).fetchone()
    assert row is not None
    return max(float(row[0] or 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class Meter:
    """Processes by name, and where their CPU time stood at an instant (s, monotonic)."""

    processes: dict[str, psutil.Process]
    before: dict[str, float]
    since: float

    @classmethod
    def begun(cls, around: Servers, **processes: psutil.Process) -> "Meter":
        """Return a meter of both servers and of these processes that begins now."""
        watched = {name: psutil.Process(pid) for name, pid in around.pids.items()} | processes
        return cls(watched, {name: cpu_s(one) for name, one in watched.items()}, time.monotonic())

    def cores(self) -> dict[str, float]:
        """Return the cores that each took since."""
        took = time.monotonic() - self.since
        return {name: (cpu_s(one) - self.before[name]) / took for name, one in self.processes.items()}

    def memory_mb(self) -> dict[str, float]:
        """Return the memory of each now."""
        return {name: memory_mb(one) for name, one in self.processes.items()}
