"""Device-minutes once more, from the rows that the database holds now."""

import hashlib
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster import canonical, minutes
from muster.clock import to_datetime
from muster.events import TextReading
from muster.minutes import RECORD
from muster.scans import NULL_BITS, Scans
from store.queries import load

QUERIES = load("evidence", "stored.sql")

_ARRAY_HEAD = np.dtype([("dimensions", ">i4"), ("flags", ">i4"), ("type", ">i4")])
_DIMENSION = np.dtype([("size", ">i4"), ("first", ">i4")])
_FLOAT = np.dtype([("length", ">i4"), ("value", ">u8")])
_SMALL = np.dtype([("length", ">i4"), ("value", ">i2")])
_NO_QUALITY = -1
_VALUES_AT = _ARRAY_HEAD.itemsize + _DIMENSION.itemsize


async def recomputed(
    connection: AsyncConnection[TupleRow], batches: list[int], recorded: NDArray[np.void]
) -> NDArray[np.void]:
    """Return the device-minutes of the rows that carry these batches, within each record's source times.

    batches: in the order in which they were digested. recorded: (n,) records. Gives (k,) records by device; a device
    of which no row is left has none.
    """
    given = {
        "batches": batches,
        "device": recorded["device"].astype(np.int64).tolist(),
        "first": _instants(recorded["first_time"]),
        "last": _instants(recorded["last_time"]),
    }
    cursor = await connection.execute(QUERIES["sequences"], given)
    numbers: dict[int, int] = dict(await cursor.fetchall())
    sequence = np.array([numbers.get(batch, 0) & 0xFFFFFFFF for batch in batches], np.uint32)
    cursor = connection.cursor(binary=True)
    scans, place = _scans(await (await cursor.execute(QUERIES["scans"], given)).fetchall())
    rows = await (await cursor.execute(QUERIES["texts"], given)).fetchall()
    texts = [(int(row[-1]) - 1, TextReading(*row[:-1])) for row in rows]
    return _digested(scans, place, sequence, texts)


def _digested(
    scans: Scans,
    place: NDArray[np.int64],
    sequence: NDArray[np.uint32],
    texts: list[tuple[int, TextReading]],
) -> NDArray[np.void]:
    found = canonical.arranged(scans, place, sequence[place])
    of_scans = minutes.of_scans(scans, found)
    records = minutes.merged([of_scans, minutes.of_texts([text for _, text in texts])])
    bounds = found.offsets[np.append(found.starts, len(found.index))].tolist()
    body = found.body.data
    spans = dict(zip(of_scans["device"].tolist(), pairwise(bounds), strict=True))
    for record in records:
        device = int(record["device"])
        begin, stop = spans.get(device, (0, 0))
        digest = hashlib.sha256(body[begin:stop])
        said = [(at, int(sequence[at]), text) for at, text in texts if text.device == device]
        for piece in canonical.in_order(said):
            digest.update(piece)
        digest.update(canonical.end(int(record["scans"]), int(record["texts"])))
        record["digest"] = np.frombuffer(digest.digest(), np.uint8)
    return records


def _scans(rows: list[TupleRow]) -> tuple[Scans, NDArray[np.int64]]:
    """Return the scans of `rows` and the place of each one's batch, from 0."""
    if not rows:
        return Scans.empty(), np.empty(0, np.int64)
    device, time, received, values, qualities, place = zip(*rows, strict=True)
    decoded = [_values(raw) for raw in values]
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(value) for _, value in decoded], out=offsets[1:])
    quality = np.zeros(int(offsets[-1]), np.int16)
    for at, raw in enumerate(qualities):
        if raw is not None:
            _judge(quality[offsets[at] : offsets[at + 1]], decoded[at][0], raw)
    scans = Scans(
        np.array(device, np.int32),
        np.array(time, np.int64),
        np.array(received, np.int64),
        np.array([first for first, _ in decoded], np.int32),
        np.zeros(len(rows), np.uint8),
        offsets,
        np.concatenate([value for _, value in decoded]).view(np.float64),
        quality if quality.any() else None,
    )
    return scans, np.array(place, np.int64) - 1


def _values(raw: bytes) -> tuple[int, NDArray[np.uint64]]:
    """Return an array's lower bound and the bits of its elements, as PostgreSQL's array_send gives them.

    What is no vector, and so was not written by us, has no elements.
    """
    dimensions, has_null, _ = np.frombuffer(raw, _ARRAY_HEAD, 1)[0].tolist()
    if dimensions != 1:
        return 0, np.empty(0, np.uint64)
    size, first = np.frombuffer(raw, _DIMENSION, 1, _ARRAY_HEAD.itemsize)[0].tolist()
    if not has_null:
        return first, np.frombuffer(raw, _FLOAT, size, _VALUES_AT)["value"].astype(np.uint64)
    bits, at = np.full(size, NULL_BITS, np.uint64), _VALUES_AT
    for element in range(size):
        length = int.from_bytes(raw[at : at + 4], signed=True)
        at += 4
        if length >= 0:
            bits[element] = int.from_bytes(raw[at : at + 8])
            at += 8
    return first, bits


def _judge(quality: NDArray[np.int16], first: int, raw: bytes) -> None:
    """Set the qualities of a scan's values, (k,), whose first position is `first`.

    Only a row that was changed has qualities that do not lie over its values: then they are made to differ.
    """
    dimensions, has_null, _ = np.frombuffer(raw, _ARRAY_HEAD, 1)[0].tolist()
    if dimensions == 1 and not has_null:
        size, lower = np.frombuffer(raw, _DIMENSION, 1, _ARRAY_HEAD.itemsize)[0].tolist()
        if (size, lower) == (len(quality), first):
            quality[:] = np.frombuffer(raw, _SMALL, size, _VALUES_AT)["value"]
            return
    quality[:] = _NO_QUALITY


def records_of(raw: bytes) -> NDArray[np.void]:
    """Return the records of a row of `device_minutes`, (n,)."""
    return np.frombuffer(raw, RECORD)


def _instants(times: NDArray[Any]) -> list[datetime]:
    return [to_datetime(time) for time in times.astype(np.int64).tolist()]
