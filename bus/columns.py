"""Scans as one Arrow record batch in the format of Arrow's IPC streams, written and read without Arrow's objects.

Every record of one schema has the same metadata but for its numbers: lengths, and where each buffer lies; and those
follow from how many scans and readings there are and whether they are judged. The metadata of one record are asked of
pyarrow once. A record is written with its numbers put in, byte for byte as pyarrow does, and read where its metadata
are just these; any other form, and anything doubtful, is left to pyarrow, which alone refuses. Property tests hold both
directions against pyarrow. A batch is a few hundred scans, for which its arrays and records, some thirty objects, cost
several times what the columns do.

All of the metadata's numbers are words of 8 bytes (Arrow columnar format 1.5, "Encapsulated message format" and
`Message.fbs`): the body's length, the record's length, then (offset, length) of each buffer and (length, nulls) of each
node, in the order of the schema. A list has a node and two buffers (validity, offsets), its items have the same again.
"""

import struct
from functools import lru_cache
from itertools import chain

import numpy as np
import pyarrow as pa

from muster.scans import Scans

SCHEMA = pa.schema(
    [
        ("device", pa.int32()),
        ("time", pa.int64()),
        ("received", pa.int64()),
        ("first", pa.int32()),
        ("how", pa.uint8()),
        ("value", pa.list_(pa.float64())),
        ("quality", pa.list_(pa.int16())),
    ]
)
_DTYPES = tuple(map(np.dtype, ("<i4", "<i8", "<i8", "<i4", "u1", "<i4", "<f8", "<i4", "<i2")))
"""Of the data of each node: five columns, then offsets and items of the values, offsets and items of the qualities."""
_ITEMS, _QUALITY = 6, 7
_PREFIX = struct.Struct("<iI")
_BODY, _LENGTH, _BUFFERS = 4, 8, 10
_NODES = _BUFFERS + 4 * len(_DTYPES) + 1
_METADATA = struct.Struct(f"<{_NODES + 2 * len(_DTYPES)}q")
_START = _PREFIX.size + _METADATA.size
_ROW = {field.name: [0] if pa.types.is_list(field.type) else 0 for field in SCHEMA}
_ONE = pa.RecordBatch.from_pylist([_ROW], SCHEMA).serialize().to_pybytes()
_WORDS = _METADATA.unpack_from(_ONE, _PREFIX.size)
_PADDING = [bytes(count) for count in range(8)]


def write_record(scans: Scans) -> bytes:
    """Return the bytes of the record that holds `scans`, at least one."""
    count, judged = len(scans), scans.quality is not None
    metadata, _, _ = _layout(count, scans.readings, judged)
    quality = (scans.offsets, scans.quality) if judged else (np.zeros(count + 1), np.empty(0))
    columns = (
        scans.device,
        scans.time,
        scans.received,
        scans.first,
        scans.how,
        scans.offsets,
        scans.value,
        *quality,
    )
    parts = [metadata]
    for node, (column, dtype) in enumerate(zip(columns, _DTYPES, strict=True)):
        if node == _QUALITY and not judged:
            parts.append(bytes(_padded(_bits(count))))
        data = np.asarray(column, dtype).tobytes()
        parts += (data, _PADDING[-len(data) % 8])
    return b"".join(parts)


def read_record(body: bytes, start: int) -> Scans | None:
    """Return the scans of the record at `start`; None when it is not just as `write_record` would write it."""
    if len(body) < start + _START:
        return None
    count, readings, nulls = (
        int.from_bytes(body[at : at + 8], "little")
        for at in (start + _PREFIX.size + 8 * word for word in (_LENGTH, _node(_ITEMS), _node(_QUALITY) + 1))
    )
    if not 1 <= count <= readings <= len(body):
        return None
    judged = nulls == 0
    metadata, places, size = _layout(count, readings, judged)
    at = start + _START
    if not body.startswith(metadata, start) or len(body) < at + size:
        return None
    device, time, received, first, how, offsets, value, limits, quality = (
        np.frombuffer(body, dtype, length // dtype.itemsize, at + place)
        for dtype, (place, length) in zip(_DTYPES, places[1::2], strict=True)
    )
    if offsets[0] or offsets[-1] != readings or first.min() < 1 or not (offsets[1:] > offsets[:-1]).all():
        return None
    if judged:
        if not np.array_equal(limits, offsets):
            return None
        return Scans(device, time, received, first, how, offsets, value, quality)
    place, length = places[2 * _QUALITY]
    if limits.any() or any(body[at + place : at + place + length]):
        return None
    return Scans(device, time, received, first, how, offsets, value, None)


@lru_cache(256)
def _layout(count: int, readings: int, judged: bool) -> tuple[bytes, list[tuple[int, int]], int]:
    """Return prefix and metadata, place and length of each buffer behind them, and the size of these in all.

    Without qualities each scan lacks its own: bits that say so, and as many empty lists.
    """
    lengths = [*[count] * 5, count + 1, readings, count + 1, readings if judged else 0]
    missing = [*[0] * _QUALITY, 0 if judged else count, 0]
    buffers, size = list[tuple[int, int]](), 0
    for length, nulls, dtype in zip(lengths, missing, _DTYPES, strict=True):
        for taken in (_bits(nulls), length * dtype.itemsize):
            buffers.append((size, taken))
            size += _padded(taken)
    nodes = zip([*[count] * 6, readings, count, lengths[-1]], missing, strict=True)
    words = list(_WORDS)
    words[_BODY], words[_LENGTH] = size, count
    words[_BUFFERS : _BUFFERS + 2 * len(buffers)] = chain.from_iterable(buffers)
    words[_NODES:] = chain.from_iterable(nodes)
    return _PREFIX.pack(-1, _METADATA.size) + _METADATA.pack(*words), buffers, size


def _node(number: int) -> int:
    """Return which of the metadata's words is a node's length; the next one is its nulls."""
    return _NODES + 2 * number


def _bits(count: int) -> int:
    """Return how many bytes hold so many bits."""
    return -(-count // 8)


def _padded(length: int) -> int:
    """Return the next multiple of 8."""
    return -(-length // 8) * 8
