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
from evidence.counting.arrays import POSTGRES_EPOCH_US, Raw, joined, lengths, texts
from evidence.counting.devices import NEVER, Devices, Kind, Labels
from evidence.counting.questions import EVERYTHING, SQL, Filter
from muster.device import Origin
from muster.presence import Definition, State

Rows = Sequence[Sequence[Raw]]
Seats = NDArray[np.int64]
"""(k, 3): gateway, partition, enterprise."""
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
        sizes = lengths([row[10] for row in rows], 4)
        device, gateway = joined([row[10] for row in rows], ">i4"), joined([row[11] for row in rows], ">i4")
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
        self._labels = Labels([(row[12], row[13]) for row in rows])
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
        watched = np.zeros(len(self.seats) + 1, np.bool_)
        seat = np.array([_integer(row[0]) - 1 for row in seen], np.int64)
        watched[seat] = True
        # without a seat: the last entry of `watched`, which stays False
        reason = np.where(self._seat < 0, 0, np.where(watched[self._seat], 2, 1))
        for first in (1, 6):
            device = joined([row[first] for row in seen], ">i4")
            told = np.repeat(seat, lengths([row[first] for row in seen], 4))
            at = np.searchsorted(self._device, device)
            at[at == size] = 0
            mine = (self._device[at] == device) & (self._seat[at] == told) if size else at < 0
            at = at[mine]
            since[at] = joined([row[first + 1] for row in seen], ">i8")[mine] + POSTGRES_EPOCH_US
            state[at] = joined([row[first + 2] for row in seen], ">i2")[mine]
            reason[at] = _reasons(seen, first, words)[mine]
        return self._together(state, reason, since, list(words))

    def _together(
        self,
        state: NDArray[np.int64],
        reason: NDArray[np.int64],
        since: NDArray[np.int64],
        words: Sequence[str],
    ) -> Devices:
        key = (self._group << 32) | (reason << 3) | state
        keys, kind = np.unique(key, return_inverse=True)
        kinds = [
            Kind._make((*self._kinds[one >> 32], State(one & 7), words[one >> 3 & 0x1FFFFFFF]))
            for one in keys.tolist()
        ]
        return Devices(self._device, kind, since, kinds, self._group, self._place, self._labels)


def _reasons(seen: Rows, first: int, words: dict[str, int]) -> NDArray[np.int64]:
    """Return each entry's reason as a place in `words`, which grows; those of a checkpoint are numbered in it."""
    if first != 1:
        told = [word for row in seen for word in texts(row[first + 3])]
        return np.array([words.setdefault(word, len(words)) for word in told], np.int64)
    local = [[words.setdefault(word, len(words)) for word in texts(row[5])] for row in seen]
    begins = np.cumsum([0, *(len(one) for one in local)])[:-1]
    flat = np.array([number for one in local for number in one], np.int64)
    number = joined([row[4] for row in seen], ">i2") - 1
    at: NDArray[np.int64] = number + np.repeat(begins, lengths([row[4] for row in seen], 2))
    found: NDArray[np.int64] = flat[at]
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
