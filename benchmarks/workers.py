"""Two ingest workers against one, from the same full stream, pair by pair.

Counted is what is committed between the instant at which every worker holds its share of the partitions and the instant
at which the first partition runs dry: before and after, they do not work side by side.
"""

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.ingest import DEVICES, TAGS, publish
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


def measure(repeats: int, seconds: int) -> dict[str, Any]:
    """Return readings a second of two workers and of one, with `seconds` seconds of data waiting for them."""
    pairs = Pairs()
    for _ in range(repeats):
        one, two = (_rate(workers, seconds) for workers in (1, 2))
        pairs.add(two, one)
    return {"readings_per_s": pairs.summary()}


def _rate(workers: int, seconds: int) -> float:
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
            for number in range(workers):
                stack.enter_context(ingesting(around, f"bench-{number + 1}"))
            since = _shared(session, workers)
            _stored(session, around, len(messages))
            row = session.execute(_DRY).fetchone()
            assert row is not None
            told = session.execute(_WITHIN, {"since": since, "until": row[0]}).fetchone()
    if told is None or told[0] is None or float(told[1]) <= 0:
        raise RuntimeError(
            f"{workers} workers were done before they shared the partitions; give more seconds"
        )
    return float(told[0]) / float(told[1])


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


def _stored(session: psycopg.Connection[Any], around: Servers, batches_in_all: int) -> None:
    begin = time.monotonic()
    while session.execute("select count(*) from batch").fetchone() != (batches_in_all,):
        if time.monotonic() - begin > PATIENCE_S:
            raise RuntimeError(f"ingest does not get on; {around.folder} says why")
        time.sleep(0.1)
