"""Holds the stored rows against what was written down of them when they were recorded.

Two ways, because a row can be changed or taken away, and a row can be put in: the device-minutes *recorded* in a window
are computed again from the rows, and every row whose *source time* lies in the window must belong to one of them. What
retention dropped is told from what differs. Until the device-minutes stand in a signed log, whoever can write the
database can change both; this finds whoever changed one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from evidence.stored import QUERIES, recomputed, records_of
from muster.clock import to_datetime, to_us
from store.connection import connected

MINUTE = timedelta(minutes=1)
FACTS = ("scans", "texts", "readings", "good", "first_time", "last_time", "first_received", "last_received")


@dataclass(frozen=True, slots=True)
class Difference:
    """One device in one minute, or one batch with device 0, that is not as it was recorded.

    reason: a key of the catalogue. recorded, found: what was written down and what is there, where that says it.
    """

    minute: datetime
    device: int
    reason: str
    recorded: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What was held against what: device-minutes `same`, `expired` (dropped by retention) and `differences`."""

    since: datetime
    until: datetime
    same: int = 0
    expired: int = 0
    rows: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def device_minutes(self) -> int:
        """How many device-minutes were looked at."""
        return self.same + self.expired + len({(d.minute, d.device) for d in self.differences if d.device})


@dataclass(frozen=True, slots=True)
class Digested:
    """Since when there are digests, and until when they are written down."""

    began: datetime
    over: datetime


@dataclass(frozen=True, slots=True)
class _Part:
    """A row of `device_minutes`."""

    minute: datetime
    partition: int
    batches: list[int]
    records: NDArray[np.void]


async def check(dsn: str, since: datetime, until: datetime) -> Report:
    """Return what became of the minutes from `since` to `until`, whole minutes.

    Left out are the newest, which are not over, and those before this database was given digests at all.

    Raises:
        Unavailable: the database cannot be reached now.
    """
    async with connected(dsn, "fsck") as connection:
        ((began, over),) = await _rows(connection, "written", {})
        return await examine(connection, since, until, Digested(began, over))


async def examine(
    connection: AsyncConnection[TupleRow], since: datetime, until: datetime, digested: Digested
) -> Report:
    """Return the same over a connection of the caller's, who says of which minutes there must be digests."""
    since = max(since, digested.began.replace(second=0, microsecond=0))
    report = Report(since, max(since, min(until, digested.over)))
    expired = _Expired(await _rows(connection, "expired", {}))
    at = since
    while at < report.until:
        await _minute(connection, at, digested, expired, report)
        at += MINUTE
    report.differences.sort(key=lambda one: (one.minute, one.device))
    return report


async def codes(dsn: str, devices: set[int]) -> dict[int, str]:
    """Return what devices are called, enterprise and code, by number."""
    async with connected(dsn, "fsck") as connection:
        rows = await _rows(connection, "codes", {"devices": sorted(devices)})
    return {number: f"{enterprise} {code}" for number, enterprise, code in rows}


async def _minute(
    connection: AsyncConnection[TupleRow],
    minute: datetime,
    digested: Digested,
    expired: "_Expired",
    report: Report,
) -> None:
    window = {"since": minute, "until": minute + MINUTE}
    parts = [_part(row) for row in await _rows(connection, "minutes", window)]
    for part in parts:
        gone = expired.of(part)
        report.expired += int(gone.sum())
        kept = part.records[~gone]
        found = list(_compared(part.minute, kept, await recomputed(connection, part.batches, kept)))
        report.differences += found
        report.same += len(kept) - len(found)
    named = {batch for part in parts for batch in part.batches}
    for batch, recorded_at in await _rows(connection, "batches_of", window):
        if batch not in named and recorded_at >= digested.began:
            report.differences.append(Difference(minute, 0, "fsck.no-digest", found={"batch": batch}))
    await _strangers(connection, window, digested, report)


def _compared(minute: datetime, recorded: NDArray[np.void], found: NDArray[np.void]) -> Iterator[Difference]:
    there = {int(record["device"]): record for record in found}
    for record in recorded:
        device = int(record["device"])
        other = there.get(device)
        if other is None:
            yield Difference(minute, device, "fsck.rows-missing", _facts(record))
        elif other.tobytes() != record.tobytes():
            amount = int(other["scans"]) + int(other["texts"]) - int(record["scans"]) - int(record["texts"])
            reason = (
                "fsck.rows-missing" if amount < 0 else "fsck.rows-added" if amount else "fsck.rows-differ"
            )
            yield Difference(minute, device, reason, _facts(record), _facts(other))


async def _strangers(
    connection: AsyncConnection[TupleRow], window: dict[str, datetime], digested: Digested, report: Report
) -> None:
    """Find rows of source times within the window that no device-minute accounts for."""
    rows = await _rows(connection, "rows_between", window)
    report.rows += sum(row[-1] for row in rows)
    batches = {row[1] for row in rows}
    spans = _spans(await _rows(connection, "minutes_with", {"batches": sorted(batches)}))
    recorded_at: dict[int, datetime] = dict(
        await _rows(connection, "recorded", {"batches": sorted(batches - spans.keys())})
    )
    if lost := sorted(batches - spans.keys() - recorded_at.keys()):  # their own rows may have expired
        spans |= _spans(await _rows(connection, "minutes_naming", {"batches": lost}))
    for device, batch, first, last, count in rows:
        if batch in recorded_at and (
            recorded_at[batch] >= report.until or recorded_at[batch] >= window["since"]
        ):
            continue  # not to be looked at yet, or named for want of a digest where it was recorded
        if any(begin <= first and last <= end for begin, end in spans.get(batch, {}).get(device, ())):
            continue
        found = {
            "batch": batch,
            "rows": count,
            "first_time": to_datetime(first),
            "last_time": to_datetime(last),
        }
        report.differences.append(Difference(window["since"], device, "fsck.rows-foreign", found=found))


def _spans(rows: list[TupleRow]) -> dict[int, dict[int, list[tuple[int, int]]]]:
    """Return by batch and device the source times (µs) within which a device-minute accounts for rows."""
    spans: dict[int, dict[int, list[tuple[int, int]]]] = {}
    for row in rows:
        part = _part(row)
        of_devices = {
            int(record["device"]): (int(record["first_time"]), int(record["last_time"]))
            for record in part.records
        }
        for batch in part.batches:
            kept = spans.setdefault(batch, {})
            for device, span in of_devices.items():
                kept.setdefault(device, []).append(span)
    return spans


class _Expired:
    """The times whose raw data retention dropped."""

    def __init__(self, rows: list[TupleRow]) -> None:
        self._raw = [(to_us(first), to_us(last)) for first, last, of_batches in rows if not of_batches]
        self._batches = [(first, last) for first, last, of_batches in rows if of_batches]

    def of(self, part: _Part) -> NDArray[np.bool_]:
        """Return which of a part's device-minutes are no longer all there, (n,)."""
        if any(first < part.minute + MINUTE and part.minute < last for first, last in self._batches):
            return np.ones(len(part.records), np.bool_)
        gone = np.zeros(len(part.records), np.bool_)
        begins, ends = part.records["first_time"], part.records["last_time"]
        for first, last in self._raw:
            gone |= (first <= ends) & (begins <= last)
        return gone


def _part(row: TupleRow) -> _Part:
    minute, partition, batches, records = row
    return _Part(minute, partition, batches, records_of(records))


def _facts(record: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {name: int(record[name]) for name in FACTS}
    for name in FACTS[4:]:
        facts[name] = to_datetime(facts[name])
    return {**facts, "digest": record["digest"].tobytes().hex()}


async def _rows(connection: AsyncConnection[TupleRow], name: str, given: dict[str, Any]) -> list[TupleRow]:
    return await (await connection.execute(QUERIES[name], given)).fetchall()
