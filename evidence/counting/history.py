"""One device's presence between two instants, without holes, as known at a third."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from bus.subjects import PARTITIONS
from evidence.counting.questions import SQL, covered
from muster.clock import to_datetime
from muster.presence import Definition, State


@dataclass(frozen=True, slots=True)
class Interval:
    """In [start, end) the device was in `state`; recorded: when that was written down."""

    start: datetime
    end: datetime
    state: State
    reason: str
    recorded: datetime | None


@dataclass(frozen=True, slots=True)
class Seat:
    """In [start, end) the ledger had the device at `gateway`; why: the reason when it was at none."""

    start: datetime
    end: datetime
    gateway: int | None
    why: str


async def presence(
    connection: AsyncConnection[Any],
    device: int,
    start: datetime,
    end: datetime,
    known: datetime,
    definition: Definition,
) -> list[Interval]:
    """Return the presence of `device` in [start, end), as known at `known`, in order of time."""
    found: list[Interval] = []
    for seat in await _seats(connection, device, start, end):
        if seat.gateway is None:
            found.append(Interval(seat.start, seat.end, State.UNOBSERVED, seat.why, None))
            continue
        watched = [
            cover
            for cover in await covered(
                connection, seat.start, seat.end, known, definition, gateway=seat.gateway
            )
            if cover.partition == device % PARTITIONS
        ]
        async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            await cursor.execute(
                SQL["device_presence"],
                {
                    "device": device,
                    "known": known,
                    "cover_span": [cover.span for cover in watched],
                    "cover_from": [to_datetime(cover.start) for cover in watched],
                    "cover_to": [to_datetime(cover.end) for cover in watched],
                },
            )
            found.extend(_within(seat, await cursor.fetchall()))
    return _joined(found)


async def _seats(connection: AsyncConnection[Any], device: int, start: datetime, end: datetime) -> list[Seat]:
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(SQL["seats"], {"device": device, "from": start, "to": end})
        rows = await cursor.fetchall()
    return seats(rows, start, end)


def seats(rows: Sequence[tuple[datetime, int | None, bool]], start: datetime, end: datetime) -> list[Seat]:
    """Return where the device sat in [start, end), from (since, gateway, retired) in order of time."""
    found: list[Seat] = []
    if not rows or rows[0][0] > start:
        found.append(Seat(start, rows[0][0] if rows else end, None, "not-registered"))
    for index, (since, gateway, retired) in enumerate(rows):
        until = rows[index + 1][0] if index + 1 < len(rows) else end
        begin = max(since, start)
        if begin < until:
            why = "retired" if retired else "no-gateway"
            found.append(Seat(begin, until, None if retired else gateway, why))
    return found


def _within(seat: Seat, rows: Sequence[tuple[Any, ...]]) -> list[Interval]:
    """Fill a seat with what was seen in its covers; rows are those of `device_presence`."""
    found: list[Interval] = []
    reached = seat.start
    for index, (cover_from, cover_to, since, state, reason, recorded) in enumerate(rows):
        following = rows[index + 1] if index + 1 < len(rows) else None
        begin = cover_from if since is None else max(since, cover_from)
        same_cover = following is not None and following[0] == cover_from
        until = following[2] if following is not None and same_cover else cover_to
        if reached < cover_from:
            found.append(Interval(reached, cover_from, State.UNOBSERVED, "not-watched", None))
        if max(reached, cover_from) < begin:
            first = max(reached, cover_from)
            found.append(Interval(first, begin, State.UNOBSERVED, "not-yet-observed", None))
        if since is None:
            found.append(Interval(begin, until, State.UNOBSERVED, "not-yet-observed", None))
        elif begin < until:
            found.append(Interval(begin, until, State(state), reason, recorded))
        reached = max(reached, until)
    if reached < seat.end:
        found.append(Interval(reached, seat.end, State.UNOBSERVED, "not-watched", None))
    return found


def _joined(intervals: Sequence[Interval]) -> list[Interval]:
    """Join neighbours that say the same."""
    joined: list[Interval] = []
    for interval in intervals:
        last = joined[-1] if joined else None
        if last and (last.state, last.reason, last.recorded) == (
            interval.state,
            interval.reason,
            interval.recorded,
        ):
            joined[-1] = Interval(last.start, interval.end, last.state, last.reason, last.recorded)
        else:
            joined.append(interval)
    return joined
