"""Two ingest workers against one, from the same full stream, pair by pair, and what each process took of the CPU.

Counted is what is committed between the instant at which every worker holds its share of the partitions and the instant
at which the first partition runs dry: before and after, they do not work side by side. One worker, too, stores its
partitions side by side, each through a connection of its own: a second one can bring no more than the cores that one
worker, with bus and database, leaves idle.
"""

import asyncio
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.ingest import DEVICES, TAGS, publish
from benchmarks.processes import cpu_s
from benchmarks.road import ingesting, register
from benchmarks.samples import Pairs
from benchmarks.servers import Servers, servers
from benchmarks.traffic import batches
from muster.clock import SECOND_US

PATIENCE_S = 300.0
_HOLDERS = "select count(distinct worker), clock_timestamp() from stream_position where worker <> ''"
_DRY = """
select min(last) from (select partition, max(recorded_at) as last from batch group by partition) each"""
_WITHIN = """
select sum(readings), extract(epoch from %(until)s::timestamptz - %(since)s::timestamptz)
from batch where recorded_at > %(since)s and recorded_at <= %(until)s"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Readings a second, and by process the cores that these took; `idle`: those that nobody took."""

    readings_per_s: float
    cores: dict[str, float]

    @property
    def busy(self) -> float:
        """The cores that bus, database and workers took together."""
        return sum(taken for name, taken in self.cores.items() if name != "idle")


def measure(repeats: int, seconds: int) -> dict[str, Any]:
    """Return readings a second of two workers and of one, with `seconds` seconds of data waiting for them.

    And readings per second of CPU of both, which falls where they hinder one another, the cores taken, and what the
    ratio could be at most, if two workers left no core idle.
    """
    rates, per_cpu, most = Pairs(), Pairs(), list[float]()
    for _ in range(repeats):
        one, two = (_rate(workers, seconds) for workers in (1, 2))
        rates.add(two.readings_per_s, one.readings_per_s)
        per_cpu.add(two.readings_per_s / two.busy, one.readings_per_s / one.busy)
        most.append((one.busy + one.cores["idle"]) / one.busy)
    return {
        "readings_per_s": rates.summary(),
        "readings_per_cpu_s": per_cpu.summary(),
        "most_possible": statistics.median(most),
        "cores_of_one": one.cores,
        "cores_of_two": two.cores,
    }


def _rate(workers: int, seconds: int) -> Rate:
    with servers() as around:
        key = Ed25519PrivateKey.generate()
        start_us = (time.time_ns() // 1000 // SECOND_US - seconds) * SECOND_US
        members = list(range(1, DEVICES + 1))
        messages = list(
            batches(key, gateway=1, devices=members, tags=TAGS, start_us=start_us, seconds=seconds)
        )
        register(around, key, [range(1, DEVICES + 1)], TAGS)
        asyncio.run(publish(around, messages))
        with ExitStack() as stack, psycopg.connect(around.owner, autocommit=True) as session:
            processes = {name: psutil.Process(pid) for name, pid in around.pids.items()}
            for number in range(1, workers + 1):
                processes[f"worker {number}"] = stack.enter_context(ingesting(around, f"bench-{number}"))
            since = _shared(session, workers)
            taken = _stored(session, around, len(messages), processes)
            row = session.execute(_DRY).fetchone()
            assert row is not None
            told = session.execute(_WITHIN, {"since": since, "until": row[0]}).fetchone()
    within = [cpu for at, cpu in taken if at <= row[0]]
    if told is None or told[0] is None or float(told[1]) <= 0 or len(within) < 2:
        raise RuntimeError(
            f"{workers} workers were done before they shared the partitions; give more seconds"
        )
    first, last = within[0], within[-1]
    took_s = last["clock"] - first["clock"]
    cores = {name: (last[name] - first[name]) / took_s for name in first if name != "clock"}
    return Rate(float(told[0]) / float(told[1]), cores)


def _shared(session: psycopg.Connection[Any], workers: int) -> Any:
    """Return the database's instant at which so many workers hold partitions."""
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE_S:
        row = session.execute(_HOLDERS).fetchone()
        assert row is not None
        if row[0] == workers:
            return row[1]
        time.sleep(0.01)
    raise RuntimeError(f"{workers} workers never shared the partitions")


def _stored(
    session: psycopg.Connection[Any],
    around: Servers,
    batches_in_all: int,
    processes: dict[str, psutil.Process],
) -> list[tuple[Any, dict[str, float]]]:
    """Wait until everything is stored; return, at instants of the database's clock, the CPU that was taken until then.

    In seconds by process, with `idle`, and `clock`.
    """
    begin, taken = time.monotonic(), list[tuple[Any, dict[str, float]]]()
    while True:
        row = session.execute("select clock_timestamp(), count(*) from batch").fetchone()
        assert row is not None
        cpu = {name: cpu_s(process) for name, process in processes.items()}
        taken.append((row[0], {"clock": time.monotonic(), "idle": psutil.cpu_times().idle, **cpu}))
        if row[1] == batches_in_all:
            return taken
        if time.monotonic() - begin > PATIENCE_S:
            raise RuntimeError(f"ingest does not get on; {around.folder} says why")
        time.sleep(0.1)
