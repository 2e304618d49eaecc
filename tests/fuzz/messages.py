"""Sparkplug B payloads, and the batches that ingest takes from the bus."""

import contextlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus import envelope as envelopes
from bus import subjects
from ingest.intake import Intake, Message, Refused
from ingest.registry import GatewayEntry, Registry
from muster.clock import ManualClock
from muster.errors import Rejected
from muster.events import Event, TextReading
from muster.presence import Definition
from muster.scans import How
from muster.sparkplug import DataType, Metric, Payload, Property, decode, encode
from tests.scan_builder import ScanBuilder

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
_GATEWAY, _DEVICE, _PARTITION = 7, 6, 0


def sparkplug(data: bytes) -> None:
    """Take a payload: a value without a problem is one that its datatype can hold."""
    try:
        payload = decode(data)
    except Rejected:
        return
    for metric in payload.metrics:
        if metric.problem or metric.value is None or metric.datatype is DataType.UNKNOWN:
            continue
        (again,) = decode(
            encode(Payload(metrics=[Metric(datatype=metric.datatype, value=metric.value)]))
        ).metrics
        assert again.problem == "", (metric, again)
        assert not metric.is_null


def envelope(data: bytes) -> None:
    """Take a batch that its gateway has signed, whatever it says."""
    registry = Registry(
        Definition(),
        ManualClock(0),
        {_GATEWAY: GatewayEntry(1, (_KEY.public_key(),))},
        *(np.full(_DEVICE + 1, one, np.int32) for one in (1, _GATEWAY, 9)),
    )
    subject = subjects.batch(_PARTITION, _GATEWAY)
    with contextlib.suppress(Refused):
        taken = Intake(registry, _PARTITION, 1).check(Message(1, subject, data, envelopes.sign(data, _KEY)))
        scans = taken.batch.scans
        assert set(scans.device.tolist()) <= {_DEVICE}
        assert scans.quality is None or len(scans.quality) == len(scans.value)
        assert int(scans.offsets[-1]) == len(scans.value)
        assert (np.diff(scans.offsets) > 0).all()


def _batch() -> bytes:
    header = envelopes.Header(
        gateway=_GATEWAY,
        partition=_PARTITION,
        epoch=3,
        sequence=4,
        watched_from=10,
        watched_until=20,
        sealed_at=21,
        events=[Event("session_down", _DEVICE, 15, reason="timeout", detail={"after_s": 3})],
        texts=[TextReading(_DEVICE, 9, 12, 13, "18446744073709551615")],
    )
    builder = ScanBuilder()
    builder.add(_DEVICE, 12, 13, 1, np.array([1.5, 2.5]), None, How.UNSOLICITED)
    builder.add(_DEVICE, 14, 15, 2, np.array([0.0]), np.array([3], np.int16), How.SOLICITED)
    return envelopes.encode(header, builder.build())


_METRICS = [
    Metric("Temperature", 1, DataType.DOUBLE, 21.5, 1_700_000_000_000),
    Metric("Pieces", 2, DataType.UINT64, 2**63, properties={"Quality": Property(DataType.INT32, 192)}),
    Metric("Small", 3, DataType.INT8, -5),
    Metric("Name", None, DataType.STRING, "press"),
]
PAYLOADS = [encode(Payload(1_700_000_000_000, _METRICS, 3))]
BATCHES = [_batch()]
