"""Readings a second from the stream to committed, against raw binary COPY of the same scans into the same table.

The stream is filled beforehand with signed batches; one ingest worker stores them with everything that belongs to
it (signature, positions, watch, presence). The limit is one connection that copies the same bytes, in the same
portions, into a table with the same columns and index, and does nothing else. Both run in turn, on the same server.
"""

import asyncio
import time
from typing import Any

import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import disk
from benchmarks.road import ingesting, register
from benchmarks.samples import Pairs
from benchmarks.servers import Servers, servers
from benchmarks.traffic import Message, batches
from bus import connection, subjects
from ingest.copying import scan_rows
from muster.clock import SECOND_US
from muster.scans import Scans
from store.binary import HEADER, TRAILER

DEVICES, TAGS = 4000, 10
_HELD = "select count(*) from stream_position where worker <> ''"


def measure(repeats: int, seconds: int) -> dict[str, Any]:
    """Return readings a second of both, their ratio, ingest's own CPU per reading, and bytes per reading on disk."""
    pairs, cpu = Pairs(), []
    sizes: dict[str, float] = {}
    for _ in range(repeats):
        with servers() as around:
            key = Ed25519PrivateKey.generate()
            start_us = (time.time_ns() // 1000 // SECOND_US - seconds) * SECOND_US
            messages = list(
                batches(
                    key,
                    gateway=1,
                    devices=list(range(1, DEVICES + 1)),
                    tags=TAGS,
                    start_us=start_us,
                    seconds=seconds,
                )
            )
            register(around, key, [range(1, DEVICES + 1)], TAGS)
            limit = _copy(around, messages, seconds)
            asyncio.run(publish(around, messages))
            ours, cpu_us = _ingest(around, len(messages))
            cpu.append(cpu_us)
            pairs.add(ours, limit)
            sizes = disk.bytes_per_reading(around.owner)
    return {
        "readings_per_s": pairs.summary(),
        "ingest_cpu_us_per_reading": float(np.median(cpu)),
        **sizes,
    }


def _copy(around: Servers, messages: list[Message], seconds: int) -> float:
    """Return readings a second of bare COPY, one transaction a second of data, as ingest groups it."""
    portions = []
    for second in range(seconds):
        of = [message.scans for message in messages[second * subjects.PARTITIONS :][: subjects.PARTITIONS]]
        scans = Scans.concatenate(of)
        rows = scan_rows(scans, np.full(len(scans), 1, np.int64))
        portions.append(b"".join([HEADER, *rows, TRAILER]))
    with psycopg.connect(around.owner) as session:
        session.execute("create table bare (like scan)")
        session.execute("create index on bare (device, time desc)")
        if disk.in_chunks(session):
            session.execute("select create_hypertable('bare', 'time', create_default_indexes => false)")
        session.commit()
        begin = time.monotonic()
        for portion in portions:
            with session.cursor() as cursor, cursor.copy("copy bare from stdin (format binary)") as copy:
                copy.write(portion)
            session.commit()
        took = time.monotonic() - begin
        session.execute("drop table bare")
    return seconds * DEVICES * TAGS / took


async def publish(around: Servers, messages: list[Message]) -> None:
    """Fill the stream."""
    client = await connection.connect(around.bus["launcher"], "bench")
    jetstream = client.jetstream()
    for message in messages:
        await jetstream.publish(message.subject, message.body, headers=message.headers)
    await client.close()


def _ingest(around: Servers, count: int) -> tuple[float, float]:
    """Return readings a second between the first and the last commit, and the worker's CPU µs per reading.

    Its CPU counts from when it takes its first partition: what the first groups cost is known of before they are
    committed.
    """
    with (
        ingesting(around) as watched,
        psycopg.connect(around.owner, autocommit=True) as session,
    ):
        started, before = time.monotonic(), watched.cpu_times()
        while session.execute(_HELD).fetchone() == (0,):
            before = watched.cpu_times()
            _give_up_after(started, 120)
            time.sleep(0.01)
        while session.execute("select count(*) from batch").fetchone() != (count,):
            _give_up_after(started, 600)
            time.sleep(0.05)
        after = watched.cpu_times()
        row = session.execute(
            "select sum(readings) filter (where recorded_at > first), extract(epoch from max(recorded_at) - first),"
            " sum(readings) from batch, (select min(recorded_at) as first from batch) begun group by first"
        ).fetchone()
    assert row is not None
    used = after.user + after.system - before.user - before.system
    return float(row[0]) / float(row[1]), 1e6 * used / float(row[2])


def _give_up_after(started: float, seconds: float) -> None:
    if time.monotonic() - started > seconds:
        raise RuntimeError("ingest does not get on; its log says why")
