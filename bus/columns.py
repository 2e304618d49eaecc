"""Scans as one Arrow record batch in the format of Arrow's IPC streams, written without building Arrow's objects.

Every record of one schema has the same metadata but for its numbers: lengths, and where each buffer lies. The metadata
of one record is asked of pyarrow once, and for each record its numbers are put in; the result is byte for byte what
pyarrow writes (a property test holds it). A gateway seals a few scans at a time, for which making the arrays and the
record cost several times what copying the columns does.

All of the metadata's numbers are words of 8 bytes (Arrow's `Message.fbs`): the body's length, the record's length,
then (offset, length) of each buffer and (length, nulls) of each node, in the order of the schema.
"""

import struct
from collections.abc import Sequence

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
_PREFIX = struct.Struct("<iI")
_BODY, _LENGTH, _BUFFERS = 4, 8, 10
_BUFFER_COUNT, _NODE_COUNT = 18, 9
_NODES = _BUFFERS + 2 * _BUFFER_COUNT + 1
_METADATA = struct.Struct(f"<{_NODES + 2 * _NODE_COUNT}q")
_ROW = {field.name: [0] if pa.types.is_list(field.type) else 0 for field in SCHEMA}
_ONE = pa.RecordBatch.from_pylist([_ROW], SCHEMA)
_WORDS = _METADATA.unpack_from(_ONE.serialize().to_pybytes(), _PREFIX.size)
_PADDING = [bytes(count) for count in range(8)]


def write_record(scans: Scans) -> bytes:
    """Return the bytes of the record that holds `scans`, at least one."""
    count, readings = len(scans), scans.readings
    offsets = np.asarray(scans.offsets, "<i4").tobytes()
    columns: list[bytes] = [
        b"",
        np.asarray(scans.device, "<i4").tobytes(),
        b"",
        np.asarray(scans.time, "<i8").tobytes(),
        b"",
        np.asarray(scans.received, "<i8").tobytes(),
        b"",
        np.asarray(scans.first, "<i4").tobytes(),
        b"",
        np.asarray(scans.how, "u1").tobytes(),
        b"",
        offsets,
        b"",
        np.asarray(scans.value, "<f8").tobytes(),
    ]
    nodes = [(count, 0)] * 6 + [(readings, 0)]
    if scans.quality is None:
        columns += [bytes((count + 7) // 8), bytes(len(offsets)), b"", b""]
        nodes += [(count, count), (0, 0)]
    else:
        columns += [b"", offsets, b"", np.asarray(scans.quality, "<i2").tobytes()]
        nodes += [(count, 0), (readings, 0)]
    return _lay_out(count, columns, nodes)


def _lay_out(count: int, columns: Sequence[bytes], nodes: Sequence[tuple[int, int]]) -> bytes:
    """Return metadata and buffers, each buffer at a multiple of 8 bytes."""
    words = list(_WORDS)
    parts = [b"", b""]
    at = 0
    for index, column in enumerate(columns):
        length = len(column)
        words[_BUFFERS + 2 * index], words[_BUFFERS + 2 * index + 1] = at, length
        parts += (column, _PADDING[-length % 8])
        at += length + -length % 8
    for index, node in enumerate(nodes):
        words[_NODES + 2 * index], words[_NODES + 2 * index + 1] = node
    words[_BODY], words[_LENGTH] = at, count
    parts[0], parts[1] = _PREFIX.pack(-1, _METADATA.size), _METADATA.pack(*words)
    return b"".join(parts)
