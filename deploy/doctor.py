"""What is well, what is not, and what to do about it: each finding in both languages, by catalogue key."""

import asyncio
import shutil
import time
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from bus import connection, subjects
from deploy.layout import LEAST_FREE_BYTES, Layout
from deploy.postgres import CACHE_OF_A_DEVICE
from deploy.running import Connections, connections, status
from gateway.adapter import protocols
from muster.catalogue import say
from muster.errors import MusterError
from services.ledger.members import waiting
from store import engine
from store.connection import connected

CLOCK_TOLERANCE_S = 2.0
LAG_TOLERANCE = 500
FILL_TOLERANCE = 50
"""Percent of a buffer that may be in use before it is said to fill."""
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. key: the catalogue's sentence; its remedy is `<key>.do`."""

    about: str
    well: bool
    key: str
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the finding as an object, with its sentences in both languages."""
        return {
            "about": self.about,
            "well": self.well,
            "key": self.key,
            "facts": self.facts,
            "says": {"zh-CN": self.says("zh-CN"), "en": self.says("en")},
            "do": None if self.well else {"zh-CN": self.remedy("zh-CN"), "en": self.remedy("en")},
        }

    def says(self, language: Any) -> str:
        """Return what was found as a sentence."""
        return say(self.key, language, **self.facts)

    def remedy(self, language: Any) -> str:
        """Return what to do as a sentence."""
        return say(f"{self.key}.do", language, **self.facts)


async def examine(layout: Layout) -> list[Finding]:
    """Look at everything that can be looked at from here."""
    found = _processes(layout)
    found.append(_disk(layout))
    try:
        ways = connections(layout)
    except MusterError:
        return [Finding("launcher", False, "doctor.not-started", {"folder": str(layout.root)})]
    found += await _database(ways)
    found += await _bus(ways)
    return found


def _processes(layout: Layout) -> list[Finding]:
    now = status(layout)
    if not now["up"]:
        return [Finding("launcher", False, "doctor.down", {"folder": str(layout.root)})]
    found = []
    for name, process in now["processes"].items():
        facts = {"name": name, "restarts": process["restarts"], "log": str(layout.logs / f"{name}.log")}
        unwell = {check: word for check, word in process["checks"].items() if word != "ok"}
        if not process["up"]:
            found.append(Finding(name, False, "doctor.process-down", facts))
        elif unwell:
            words = "; ".join(f"{check}: {word}" for check, word in unwell.items())
            found.append(Finding(name, False, "doctor.process-unwell", {**facts, "words": words}))
        else:
            found.append(Finding(name, True, "doctor.process-up", facts))
    return found


def _disk(layout: Layout) -> Finding:
    free = shutil.disk_usage(layout.root).free
    facts = {"free_gb": round(free / 1e9, 1), "folder": str(layout.root)}
    well = free >= LEAST_FREE_BYTES
    return Finding("disk", well, "doctor.disk" if well else "doctor.disk-low", facts)


async def _database(ways: Connections) -> list[Finding]:
    try:
        async with asyncio.timeout(10), connected(ways.owner, "doctor") as session:
            asked = time.time()
            row = await (
                await session.execute(
                    "select extract(epoch from clock_timestamp())::float8,"
                    " pg_database_size(current_database()),"
                    " (select count(*) from quarantine where replayed_at is null),"
                    " (select count(*) from gap where recorded_at > now() - interval '1 hour'),"
                    " (select count(*) from device where retired_at is null),"
                    " pg_size_bytes(current_setting('shared_buffers'))"
                )
            ).fetchone()
            answered = time.time()
            gateways = await (
                await session.execute(
                    "select g.code, extract(epoch from clock_timestamp() - max(p.watched_until))::float8"
                    " from gateway g left join gateway_position p on p.gateway = g.id"
                    " group by g.code order by 1"
                )
            ).fetchall()
            kept = await kept_in(session)
            refused = await refused_to(session)
            idle = await waiting(session)
    except (MusterError, TimeoutError) as error:
        return [Finding("database", False, "doctor.database-away", {"words": str(error)})]
    assert row is not None
    skew = abs(row[0] - (asked + answered) / 2) - (answered - asked) / 2
    size = {"used_gb": round(row[1] / 1e9, 2), "budget_gb": round(ways.disk_budget_bytes / 1e9, 2)}
    found = [
        kept,
        Finding("database", row[1] <= ways.disk_budget_bytes * 1.1, "doctor.database", size),
        Finding("clock", skew < CLOCK_TOLERANCE_S, "doctor.clock", {"seconds": round(max(0.0, skew), 1)}),
        Finding("quarantine", row[2] == 0, "doctor.quarantine", {"count": row[2]}),
        Finding("gaps", True, "doctor.gaps", {"count": row[3]}),
    ]
    devices, cache_bytes = row[4:]
    needed_bytes = devices * CACHE_OF_A_DEVICE
    if needed_bytes > cache_bytes:
        cache = {"devices": devices, "cache_mb": cache_bytes >> 20, "needed_mb": -(-needed_bytes >> 20)}
        found.append(Finding("cache", False, "doctor.cache-small", cache))
    found += refused
    if idle:
        found.append(Finding("seats", False, "doctor.seats-waiting", {"count": idle}))
    for code, age in gateways:
        if age is None:
            found.append(Finding(f"gateway {code}", False, "doctor.gateway-never", {"code": code}))
        else:
            key = "doctor.gateway" if age < 10 else "doctor.gateway-silent"
            found.append(Finding(f"gateway {code}", age < 10, key, {"code": code, "seconds": round(age, 1)}))
    return found


async def kept_in(session: AsyncConnection[TupleRow]) -> Finding:
    """Say in what scans are kept, and what would be better."""
    offered = await engine.detect(session)
    facts = {"postgresql": session.info.server_version // 10_000, "timescaledb": offered.timescale}
    if offered.timescale and not offered.usable:
        return Finding("engine", False, "doctor.engine-old", facts)
    if offered.hypertable:
        key = "doctor.engine-columns" if offered.columnstore else "doctor.engine-apache"
        return Finding("engine", True, key, facts)
    query = "select 1 from pg_available_extensions where name = 'timescaledb'"
    available = await (await session.execute(query)).fetchone() is not None
    return Finding("engine", True, "doctor.engine-available" if available else "doctor.engine-plain", facts)


async def refused_to(session: AsyncConnection[TupleRow]) -> list[Finding]:
    """Say what the database does not let this role do that the keeper, which works as the owner, must."""
    query = "select current_user, current_database(), has_database_privilege(current_database(), 'temporary')"
    row = await (await session.execute(query)).fetchone()
    assert row is not None
    role, database, temporary = row
    if temporary:
        return []
    facts = {"role": role, "database": database}
    return [Finding("database", False, "doctor.temporary-refused", facts)]


async def _bus(ways: Connections) -> list[Finding]:
    try:
        client = await connection.connect(ways.bus, "doctor")
    except MusterError as error:
        return [Finding("bus", False, "doctor.bus-away", {"words": str(error)})]
    try:
        waiting = 0
        async with connected(ways.owner, "doctor") as session:
            rows = await (await session.execute("select partition, sequence from stream_position")).fetchall()
            gateways = await (await session.execute("select id, code from gateway order by code")).fetchall()
        stored = dict(rows)
        for partition in range(subjects.PARTITIONS):
            waiting += await _waiting(client.jetstream(), partition, stored.get(partition, 0))
        stream = await client.jetstream().stream_info(subjects.STREAM)
        found = [Finding("bus", waiting < LAG_TOLERANCE, "doctor.bus", {"waiting": waiting})]
        found.append(_fill("stream", "doctor.stream", stream.state.bytes, stream.config.max_bytes or 0))
        for number, code in gateways:
            found += await _gateway(client, number, code)
    except (MusterError, NatsError, TimeoutError) as error:
        return [Finding("bus", False, "doctor.bus-away", {"words": str(error)})]
    finally:
        await client.close()
    return found


def _fill(about: str, key: str, used: int, most: int, **facts: str) -> Finding:
    percent = 100 * used // most if most > 0 else 0
    facts = {**facts, "percent": str(percent), "used_mb": f"{used / 1e6:.1f}"}
    return Finding(about, percent < FILL_TOLERANCE, key, facts)


async def _gateway(client: Client, number: int, code: str) -> list[Finding]:
    """Ask a gateway how full its outbox is and which certificates wait; a silent one was found already."""
    try:
        told = await connection.ask(client, subjects.request(number, "diagnostics"), {}, _PATIENCE_S)
        state = told["gateway"]
        found = [
            _fill(
                f"gateway {code}",
                "doctor.outbox",
                state["outbox_bytes"],
                state["outbox_limit_bytes"],
                code=code,
            )
        ]
        for protocol in protocols():
            asked = subjects.request(number, "certificates")
            shown = await connection.ask(client, asked, {"protocol": protocol}, _PATIENCE_S)
            for one in shown["certificates"]:
                if one["state"] == "waiting":
                    facts = {
                        "code": code,
                        **{name: one[name] for name in ("subject", "endpoint", "thumbprint")},
                    }
                    found.append(Finding(f"gateway {code}", False, "doctor.certificate-waiting", facts))
    except MusterError:
        return []
    return found


async def _waiting(jetstream: JetStreamContext, partition: int, stored: int) -> int:
    """Return how far the newest message of a partition lies beyond what is stored, in stream positions."""
    try:
        last = await jetstream.get_last_msg(subjects.STREAM, subjects.batches_of(partition))
    except NatsError:
        return 0
    return max(0, (last.seq or 0) - stored)
