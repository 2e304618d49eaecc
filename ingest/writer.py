"""Writes what was collected, inside the caller's transaction: COPY for scans and texts, else arrays."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from ingest.copying import scan_rows, text_rows
from ingest.registry import QUERIES
from ingest.writes import DeviceMinutes, Memory, Quarantined, WatchRow, Writes, due_minutes
from muster.clock import to_datetime
from muster.scans import Scans
from store.binary import HEADER, TRAILER
from store.engine import bounds, detect

Connection = AsyncConnection[TupleRow]
_encode = msgspec.json.Encoder().encode


def jsonb(value: Any) -> Jsonb:
    """Return a JSON parameter."""
    return Jsonb(value, dumps=_encode)


async def write(connection: Connection, writes: Writes, partition: int, stride: int, stream: str) -> None:
    """Write everything; the caller's transaction makes it all or nothing."""
    shared = {"partition": partition, "recorded_at": to_datetime(writes.recorded_us), "stride": stride}
    await _write_scans(connection, writes)
    await _write_texts(connection, writes)
    await _record(connection, writes, shared)
    await _write_watches(connection, writes, shared)
    await _write_presence(connection, writes, shared)
    await _write_gaps(connection, writes, shared)
    await _write_sessions(connection, writes, shared)
    await _write_identities(connection, writes, shared)
    await _write_clocks(connection, writes, shared)
    for minutes in writes.minutes:
        await _write_minutes(connection, minutes, shared)
    for refused in writes.quarantined:
        await _write_quarantined(connection, refused, shared)
    for gateway in writes.forgotten:
        await connection.execute(QUERIES["forget"], {"gateway": gateway, "partition": partition})
    for memory in writes.memories:
        await _write_memory(connection, memory, shared, stream)


async def _write_scans(connection: Connection, writes: Writes) -> None:
    scans = writes.scans
    if not len(scans):
        return
    sizes = [len(stored.accepted.batch.scans) for stored in writes.batches]
    batch = np.repeat([stored.id for stored in writes.batches], sizes)
    first, end = bounds(writes.recorded_us)
    odd = (scans.time < first) | (scans.time >= end)
    if odd.any() and (await detect(connection)).hypertable:
        for query, rows in (("copy_scan", np.flatnonzero(~odd)), ("copy_odd_scan", np.flatnonzero(odd))):
            await _copy(connection, query, scans.take(rows), batch[rows])
    else:
        await _copy(connection, "copy_scan", scans, batch)


async def _copy(connection: Connection, query: str, scans: Scans, batch: NDArray[np.int64]) -> None:
    async with connection.cursor() as cursor, cursor.copy(QUERIES[query]) as copy:
        await copy.write(HEADER)
        for rows in scan_rows(scans, batch):
            await copy.write(rows)
        await copy.write(TRAILER)


async def _write_texts(connection: Connection, writes: Writes) -> None:
    readings = [(text, stored.id) for stored in writes.batches for text in stored.accepted.batch.header.texts]
    if readings:
        body = text_rows([text for text, _ in readings], [number for _, number in readings])
        async with connection.cursor() as cursor, cursor.copy(QUERIES["copy_text"]) as copy:
            await copy.write(HEADER + body + TRAILER)


async def _record(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    grown = [row for row in writes.watches.values() if row.stored]
    if writes.batches or writes.positions or grown:
        given = _batches(writes) | _positions(writes) | _grown(grown) | _due(writes)
        await connection.execute(QUERIES["record"], {**shared, **given})


def _batches(writes: Writes) -> dict[str, list[Any]]:
    batches = writes.batches
    headers = [stored.accepted.batch.header for stored in batches]
    return {
        "id": [stored.id for stored in batches],
        "gateway": [header.gateway for header in headers],
        "epoch": [header.epoch for header in headers],
        "sequence": [header.sequence for header in headers],
        "stream_sequence": [stored.accepted.message.stream_sequence for stored in batches],
        "scans": [len(stored.accepted.batch.scans) for stored in batches],
        "readings": [
            stored.accepted.batch.scans.readings + len(header.texts)
            for stored, header in zip(batches, headers, strict=True)
        ],
        "sha256": [stored.accepted.sha256 for stored in batches],
        "signature": [stored.accepted.signature for stored in batches],
    }


def _positions(writes: Writes) -> dict[str, list[Any]]:
    return {
        "moved": list(writes.positions),
        "to_epoch": [epoch for epoch, _, _ in writes.positions.values()],
        "to_sequence": [sequence for _, sequence, _ in writes.positions.values()],
        "watched_until": [to_datetime(until) for _, _, until in writes.positions.values()],
    }


def _grown(rows: list[WatchRow]) -> dict[str, list[Any]]:
    return {
        "watch": [row.id for row in rows],
        "valid_to": _instants(rows, lambda row: row.valid_to),
        "ended": [row.ended for row in rows],
    }


def _due(writes: Writes) -> dict[str, list[Any]]:
    minutes, devices = due_minutes(writes.scans.time, writes.scans.device, writes.recorded_us)
    return {"time": [to_datetime(minute) for minute in minutes], "device": devices}


async def _write_watches(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    new = [row for row in writes.watches.values() if not row.stored]
    plain = ("id", "span", "enterprise", "gateway", "epoch", "live", "ended")
    if new:
        given = _columns(new, plain) | {
            "valid_from": _instants(new, lambda row: row.valid_from),
            "valid_to": _instants(new, lambda row: row.valid_to),
        }
        await connection.execute(QUERIES["insert_watches"], {**shared, **given})


async def _write_presence(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    if writes.presence:
        given = _columns(writes.presence, ("enterprise", "gateway", "span")) | {
            "device": [row.transition.device for row in writes.presence],
            "valid_from": _instants(writes.presence, lambda row: row.transition.at),
            "state": [int(row.transition.state) for row in writes.presence],
            "reason": [row.transition.reason for row in writes.presence],
        }
        await connection.execute(QUERIES["insert_presence"], {**shared, **given})


async def _write_gaps(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    if writes.gaps:
        given = _columns(writes.gaps, ("enterprise", "gateway", "device", "reason", "polls")) | {
            "from_time": _instants(writes.gaps, lambda gap: gap.from_us),
            "to_time": _instants(writes.gaps, lambda gap: gap.to_us),
            "detail": [jsonb(gap.detail) for gap in writes.gaps],
        }
        await connection.execute(QUERIES["insert_gaps"], {**shared, **given})


async def _write_sessions(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    for end in writes.session_ends:
        given = {
            "gateway": end.gateway,
            "device": end.device,
            "epoch": end.before_epoch,
            "closed_at": to_datetime(end.closed_us),
            "reason": end.reason,
        }
        query = QUERIES["close_session" if end.device else "close_sessions_before"]
        await connection.execute(query, {**shared, **given})
    if writes.sessions:
        given = _columns(writes.sessions, ("enterprise", "device", "gateway", "epoch", "reason")) | {
            "opened_at": _instants(writes.sessions, lambda session: session.opened_us),
            "closed_at": [
                None if session.closed_us is None else to_datetime(session.closed_us)
                for session in writes.sessions
            ],
        }
        await connection.execute(QUERIES["open_sessions"], {**shared, **given})


async def _write_identities(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    if writes.identities:
        given = _columns(writes.identities, ("enterprise", "gateway", "digest")) | {
            "device": [row.event.device for row in writes.identities],
            "observed_at": _instants(writes.identities, lambda row: row.event.at),
            "origin": [row.event.origin for row in writes.identities],
            "evidence": [jsonb(row.event.detail) for row in writes.identities],
        }
        await connection.execute(QUERIES["insert_identities"], {**shared, **given})


async def _write_clocks(connection: Connection, writes: Writes, shared: dict[str, Any]) -> None:
    if writes.clocks:
        given = _columns(writes.clocks, ("enterprise", "gateway")) | {
            "device": [row.event.device for row in writes.clocks],
            "measured_at": _instants(writes.clocks, lambda row: row.event.at),
            "offset_us": [row.event.detail["offset_us"] for row in writes.clocks],
            "accuracy_us": [row.event.detail["accuracy_us"] for row in writes.clocks],
        }
        await connection.execute(QUERIES["insert_clocks"], {**shared, **given})


async def _write_minutes(connection: Connection, minutes: DeviceMinutes, shared: dict[str, Any]) -> None:
    given = {
        "minute": to_datetime(minutes.minute_us),
        "batches": minutes.batches,
        "devices": len(minutes.records),
        "records": minutes.records.tobytes(),
    }
    await connection.execute(QUERIES["insert_device_minutes"], {**shared, **given})


async def _write_quarantined(connection: Connection, refused: Quarantined, shared: dict[str, Any]) -> None:
    given = {
        "enterprise": refused.enterprise,
        "gateway": refused.gateway,
        "stream_sequence": refused.message.stream_sequence,
        "reason": refused.reason,
        "detail": jsonb(refused.detail),
        "body": refused.message.body,
        "signature": refused.message.signature,
    }
    await connection.execute(QUERIES["insert_quarantine"], {**shared, **given})


async def _write_memory(connection: Connection, memory: Memory, shared: dict[str, Any], stream: str) -> None:
    given = {name: getattr(memory, name) for name in Memory.__slots__}
    await connection.execute(QUERIES["remember"], {**shared, **given, "stream": stream})


def _columns(rows: Iterable[Any], names: tuple[str, ...]) -> dict[str, list[Any]]:
    rows = list(rows)
    return {name: list(map(attrgetter(name), rows)) for name in names}


def _instants(rows: Iterable[Any], of: Callable[[Any], int]) -> list[Any]:
    return [to_datetime(of(row)) for row in rows]
