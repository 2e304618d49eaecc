"""The state of every device of a frame at an instant, as known at another: two statements, joined here as columns.

Both read checkpoints and what was written after them (`counting.sql`), so a frame of ten thousand devices costs some
hundred rows.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection

from bus.subjects import PARTITIONS
from evidence.counting.arrays import POSTGRES_EPOCH_US, Raw, records, texts
from evidence.counting.devices import NEVER, Devices, Kind, Labels
from evidence.counting.questions import EVERYTHING, SQL, Filter
from muster.device import Origin
from muster.presence import Definition, State

Rows = Sequence[Sequence[Raw]]
Column = NDArray[np.int64]
Seats = NDArray[np.int64]
"""(k, 3): gateway, partition, enterprise."""
_SEATED = np.dtype([("device", ">i4"), ("gateway", ">i4")])
_SAVED = np.dtype([("device", ">i4"), ("since", ">i8"), ("state", ">i2"), ("reason", ">i2")])
_NEWER = np.dtype([("seat", ">i4"), ("device", ">i4"), ("since", ">i8"), ("state", ">i2")])
"""The records of `counting.sql` and of migration 0017."""
_UNKNOWN = ("no-gateway", "not-watched", "not-yet-observed")
"""Why nothing is known of a device; the first reasons of every answer, by their places."""


async def states(
    connection: AsyncConnection[Any],
    at: datetime,
    known: datetime,
    definition: Definition,
    which: Filter = EVERYTHING,
) -> Devices:
    """Return every device of the frame at `at`, as known at `known` (not earlier), by number."""
    asked = {"at": at, "known": known, "lease": timedelta(seconds=definition.lease_s)}
    rows = await _rows(connection, "frame", {**asked, **which.parameters()})
    frame = await asyncio.to_thread(_Frame, rows, which.industry)
    gateway, partition, enterprise = frame.seats.T.tolist()
    seats = {"gateway": gateway, "partition": partition, "enterprise": enterprise}
    seen = await _rows(connection, "seen", {**asked, **seats})
    return await asyncio.to_thread(frame.devices, seen)


async def _rows(connection: AsyncConnection[Any], name: str, asked: dict[str, Any]) -> Rows:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(SQL[name], asked)
        found = cursor.pgresult
        assert found is not None
        return [
            [found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)
        ]


class _Frame:
    """The devices of a frame by number, before anything is known of their presence."""

    def __init__(self, rows: Rows, industry: str | None) -> None:
        """Take the rows of the statement `frame`."""
        read, sizes = records([row[10] for row in rows], _SEATED)
        device, gateway = read["device"].astype(np.int64), read["gateway"].astype(np.int64)
        group = np.repeat(np.arange(len(rows)), sizes)
        place = np.arange(len(device)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        touched = np.array([_true(row[0]) for row in rows], np.bool_)[group]
        unwanted = [_true(row[9]) or (industry is not None and _text(row[3]) != industry) for row in rows]
        kept = ~np.array(unwanted, np.bool_)[group]
        if touched.any():
            kept &= touched | ~np.isin(device, device[touched])
        order = np.flatnonzero(kept)
        order = order[np.argsort(device[order], kind="stable")]
        self._device, self._group, self._place = device[order], group[order], place[order]
        self._kinds = [_facts(row) for row in rows]
        self._labels = Labels([(row[11], row[12]) for row in rows])
        seated = np.flatnonzero(gateway[order])
        enterprise = np.array([_integer(row[2]) for row in rows], np.int64)[self._group]
        key = gateway[order] << 33 | self._device % PARTITIONS << 31 | enterprise
        _, first, which = np.unique(key[seated], return_index=True, return_inverse=True)
        columns = np.stack([gateway[order], self._device % PARTITIONS, enterprise], axis=1)
        self.seats: Seats = columns[seated[first]]
        self._seat = np.full(len(order), -1, np.int64)
        self._seat[seated] = which

    def devices(self, seen: Rows) -> Devices:
        """Return the devices with the rows of the statement `seen`."""
        size = len(self._device)
        state, since = np.zeros(size, np.int64), np.full(size, NEVER, np.int64)
        words = {word: place for place, word in enumerate(_UNKNOWN)}
        saved = [row for row in seen if row[0] is not None]
        seat = np.frombuffer(b"".join(row[0] or b"" for row in saved), ">i4").astype(np.int64) - 1
        watched = np.zeros(len(self.seats) + 1, np.bool_)
        watched[seat] = True
        # without a seat: the last entry of `watched`, which stays False
        reason = np.where(self._seat < 0, 0, np.where(watched[self._seat], 2, 1))

        def tell(read: NDArray[np.void], told: Column, why: Column) -> None:
            at, mine = self._rows(read["device"].astype(np.int64), told)
            since[at] = read["since"][mine].astype(np.int64) + POSTGRES_EPOCH_US
            state[at] = read["state"][mine]
            reason[at] = why[mine]

        read, sizes = records([row[1] for row in saved], _SAVED)
        tell(read, np.repeat(seat, sizes), _reasons(saved, read["reason"].astype(np.int64), sizes, words))
        for row in seen:
            if row[0] is None:
                read, _ = records([row[1]], _NEWER)
                (word,) = texts(row[2])
                why = np.full(len(read), words.setdefault(word, len(words)), np.int64)
                tell(read, read["seat"].astype(np.int64) - 1, why)
        return self._together(state, reason, since, list(words))

    def _rows(self, device: Column, told: Column) -> tuple[Column, NDArray[np.bool_]]:
        """Return the places of what was told of devices at the seats that are theirs, and what that is."""
        at = np.searchsorted(self._device, device)
        at[at == len(self._device)] = 0
        mine = (self._device[at] == device) & (self._seat[at] == told) if len(self._device) else at < 0
        return at[mine], mine

    def _together(self, state: Column, reason: Column, since: Column, words: Sequence[str]) -> Devices:
        key = (self._group * len(words) + reason) * len(State) + state
        keys = np.flatnonzero(np.bincount(key))
        kind = np.zeros(keys[-1] + 1 if len(keys) else 0, np.int64)
        kind[keys] = np.arange(len(keys))
        kinds = [
            Kind._make((*self._kinds[group], State(one), words[why]))
            for group, why, one in zip(
                *(
                    column.tolist()
                    for column in np.unravel_index(keys, (len(self._kinds), len(words), len(State)))
                ),
                strict=True,
            )
        ]
        return Devices(self._device, kind[key], since, kinds, self._group, self._place, self._labels)


def _reasons(saved: Rows, number: Column, sizes: Column, words: dict[str, int]) -> Column:
    """Return the reasons that are numbered from 1 in their checkpoint as places in `words`, which grows."""
    places: list[int] = []
    begins: dict[bytes, int] = {}
    for raw in dict.fromkeys(row[2] for row in saved if row[2] is not None):
        begins[raw] = len(places)
        places.extend(words.setdefault(word, len(words)) for word in texts(raw))
    begin = np.array([begins[row[2]] if row[2] else 0 for row in saved], np.int64)
    found: Column = np.array(places, np.int64)[number - 1 + np.repeat(begin, sizes)]
    return found


def _facts(row: Sequence[Raw]) -> tuple[str, str, str, bool, str, Origin]:
    origin = _origin(_text(row[7]), None if row[8] is None else _text(row[8]))
    return _text(row[1]), _text(row[3]), _text(row[4]), _true(row[5]), _text(row[6]), origin


@cache
def _origin(ledger: str, identity: str | None) -> Origin:
    """Return the most pessimistic of what the ledger and the device itself say."""
    return Origin.worst(Origin(ledger), None if identity is None else Origin(identity))


def _text(raw: Raw) -> str:
    return (raw or b"").decode()


def _integer(raw: Raw) -> int:
    return int.from_bytes(raw or b"", signed=True)


def _true(raw: Raw) -> bool:
    return raw == b"\x01"
