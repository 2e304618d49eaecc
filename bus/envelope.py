"""The batch envelope: what a gateway sends and ingest stores, signed as one piece of bytes.

    4 bytes   magic "MST1"
    4 bytes   length of the header, big-endian
    header    `Header` as JSON, filled up with spaces so that what follows begins at a multiple of 64 bytes
    rest      Arrow IPC stream with one record batch of scans, absent when there are none

The Ed25519 signature (RFC 8032) covers all these bytes and travels in the message header `Muster-Signature`
as base64. The pair (epoch, sequence) names a batch within its gateway and partition; the same name always
means the same bytes, so a batch sent twice is known.
"""

import base64
import struct
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bus.columns import SCHEMA, read_record, write_record
from muster.errors import Rejected
from muster.events import Event, TextReading
from muster.scans import Scans

MAGIC = b"MST1"
SIGNATURE_HEADER = "Muster-Signature"
_PREFIX = struct.Struct(">4sI")
_ALIGNMENT = 64
"""Columns that lie at a multiple of their size are read several times faster."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a batch says of itself. Times are µs since 1970 by the gateway's clock.

    epoch: rises with every start of the gateway; sequence: counts from 1 within epoch and partition.
    watched_from, watched_until: the gateway watched its devices of this partition in this span. A batch
    continues the watch of the batch before it when its `watched_from` is that one's `watched_until`.
    stopping: the gateway stops in good order; nobody watches after `watched_until`.
    """

    gateway: int
    partition: int
    epoch: int
    sequence: int
    watched_from: int
    watched_until: int
    sealed_at: int
    events: list[Event] = []
    texts: list[TextReading] = []
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A decoded envelope."""

    header: Header
    scans: Scans


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(Header).decode
_SCHEMA_BYTES = SCHEMA.serialize().to_pybytes()
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""How a stream of Arrow's IPC format ends."""


def encode(header: Header, scans: Scans) -> bytes:
    """Return the envelope's bytes."""
    head = _encode_header(header)
    if len(scans) == 0:
        return _PREFIX.pack(MAGIC, len(head)) + head
    head += b" " * (-(_PREFIX.size + len(head)) % _ALIGNMENT)
    prefix = _PREFIX.pack(MAGIC, len(head)) + head
    return b"".join((prefix, _SCHEMA_BYTES, write_record(scans), _END))


def decode(body: bytes) -> Batch:
    """Return the batch in `body`.

    Raises:
        Rejected: the bytes are not an envelope, or its columns contradict one another.
    """
    header, start = _decode_prefix(body)
    return Batch(header, _decode_scans(body, start) if start < len(body) else Scans.empty())


def decode_header(body: bytes) -> Header:
    """Return only the header of `body`.

    Raises:
        Rejected: the bytes are not an envelope.
    """
    return _decode_prefix(body)[0]


def _decode_prefix(body: bytes) -> tuple[Header, int]:
    if len(body) < _PREFIX.size:
        raise Rejected("envelope: shorter than its prefix")
    magic, length = _PREFIX.unpack_from(body)
    if magic != MAGIC:
        raise Rejected("envelope: not a Muster batch")
    end = _PREFIX.size + length
    if end > len(body):
        raise Rejected("envelope: header cut short")
    try:
        return _decode_header(body[_PREFIX.size : end]), end
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Rejected(f"envelope header: {error}") from error


def _read_by_arrow(body: bytes, start: int) -> pa.RecordBatch:
    """Return the one record batch of the stream at `start`."""
    with pa.ipc.open_stream(pa.py_buffer(body)[start:]) as reader:
        if reader.schema != SCHEMA:
            raise Rejected("envelope: columns are not those of scans")
        return reader.read_next_batch()


def _decode_scans(body: bytes, start: int) -> Scans:
    if body.startswith(_SCHEMA_BYTES, start):
        scans = read_record(body, start + len(_SCHEMA_BYTES))
        if scans is not None:
            return scans
    try:
        record = _read_by_arrow(body, start)
        record.validate(full=True)
    except (pa.ArrowException, StopIteration, OSError, EOFError) as error:
        raise Rejected(f"envelope columns: {error}") from error
    device, instant, received, first, how, values, qualities = record.columns
    if any(column.null_count for column in (device, instant, received, first, how, values)):
        raise Rejected("envelope: a column that must be whole holds nulls")
    if values.values.null_count:
        raise Rejected("envelope: values hold nulls")
    offsets = values.offsets.to_numpy()
    value = values.values.to_numpy()[offsets[0] : offsets[-1]]
    quality = None
    if qualities.null_count < len(qualities):
        if qualities.null_count or qualities.values.null_count:
            raise Rejected("envelope: qualities hold nulls")
        quality = qualities.values.to_numpy()[qualities.offsets[0].as_py() : qualities.offsets[-1].as_py()]
        if not np.array_equal(np.diff(qualities.offsets.to_numpy()), np.diff(offsets)):
            raise Rejected("envelope: qualities and values differ in number")
    if (offsets[1:] == offsets[:-1]).any():
        raise Rejected("envelope: a scan without values")
    positions = first.to_numpy()
    if positions.size and positions.min() < 1:
        raise Rejected("envelope: a position below 1")
    return Scans(
        device.to_numpy(),
        instant.to_numpy(),
        received.to_numpy(),
        positions,
        how.to_numpy(),
        (offsets - offsets[0]).astype(np.int32, copy=False),
        value,
        quality,
    )


def sign(body: bytes, key: Ed25519PrivateKey) -> str:
    """Return the value of the signature header for `body`."""
    return base64.b64encode(key.sign(body)).decode()


def verify(body: bytes, signature: str | None, key: Ed25519PublicKey) -> bytes:
    """Check the signature header against `body` and return the 64 signature bytes.

    Raises:
        Rejected: there is no signature, or it is not this key's over these bytes.
    """
    try:
        raw = base64.b64decode(signature or "", validate=True)
        key.verify(raw, body)
    except (ValueError, InvalidSignature) as error:
        raise Rejected("signature: not the gateway's over these bytes") from error
    return raw
