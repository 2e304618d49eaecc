"""The batch envelope: what goes in comes out bit for bit, and what is not an envelope is rejected by name."""

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bus import envelope
from muster.errors import Rejected
from muster.events import Event, TextReading
from muster.scans import NULL_BITS, How, Scans
from tests.scan_builder import ScanBuilder

HEADER = envelope.Header(
    gateway=7,
    partition=2,
    epoch=3,
    sequence=4,
    watched_from=10,
    watched_until=20,
    sealed_at=21,
    events=[Event("session_down", 6, 15, reason="timeout", detail={"after_s": 3})],
    texts=[TextReading(6, 9, 12, 13, "18446744073709551615")],
)

bits = st.integers(0, 2**64 - 1)
scan = st.tuples(
    st.integers(1, 2**31 - 1),
    st.integers(-(2**62), 2**62),
    st.integers(1, 32_000),
    st.lists(st.tuples(bits, st.integers(0, 255)), min_size=1, max_size=8),
)


def build(described: list[tuple[int, int, int, list[tuple[int, int]]]]) -> Scans:
    builder = ScanBuilder()
    for device, time, first, cells in described:
        value = np.array([bit for bit, _ in cells], np.uint64).view(np.float64)
        quality = np.array([code for _, code in cells], np.int16)
        builder.add(device, time, time + 1, first, value, quality if quality.any() else None, How.UNSOLICITED)
    return builder.build()


@given(st.lists(scan, max_size=6))
def test_scans_come_out_bit_for_bit(described: list[tuple[int, int, int, list[tuple[int, int]]]]) -> None:
    sent = build(described)
    came = envelope.decode(envelope.encode(HEADER, sent))
    assert came.header == HEADER
    for name in ("device", "time", "received", "first", "how", "offsets"):
        assert np.array_equal(getattr(came.scans, name), getattr(sent, name)), name
    assert np.array_equal(came.scans.value.view(np.uint64), sent.value.view(np.uint64))
    if sent.quality is None:
        assert came.scans.quality is None
    else:
        assert came.scans.quality is not None
        assert np.array_equal(came.scans.quality, sent.quality)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_envelope_are_rejected(body: bytes) -> None:
    with pytest.raises(Rejected):
        envelope.decode(body)


@given(st.data())
def test_a_changed_or_cut_envelope_never_passes_its_signature(data: st.DataObject) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    body = envelope.encode(HEADER, build([(1, 5, 1, [(NULL_BITS, 0), (0, 0)])]))
    signature = envelope.sign(body, key)
    assert len(envelope.verify(body, signature, key.public_key())) == 64
    at = data.draw(st.integers(0, len(body) - 1))
    flipped = bytearray(body)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for wrong in (bytes(flipped), body[:at]):
        with pytest.raises(Rejected):
            envelope.verify(wrong, signature, key.public_key())
        try:
            envelope.decode(wrong)
        except Rejected:
            continue


@pytest.mark.parametrize("signature", [None, "", "x", "====", "AAAA"])
def test_a_missing_or_malformed_signature_is_rejected(signature: str | None) -> None:
    with pytest.raises(Rejected):
        envelope.verify(b"body", signature, Ed25519PrivateKey.generate().public_key())


def test_a_scan_without_values_and_a_position_below_one_are_rejected() -> None:
    good = build([(1, 5, 1, [(0, 0)])])
    empty = Scans(
        good.device,
        good.time,
        good.received,
        good.first,
        good.how,
        np.zeros(2, np.int32),
        np.empty(0, np.float64),
        None,
    )
    with pytest.raises(Rejected, match="without values"):
        envelope.decode(envelope.encode(HEADER, empty))
    low = Scans(
        good.device, good.time, good.received, good.first - 1, good.how, good.offsets, good.value, None
    )
    with pytest.raises(Rejected, match="position below 1"):
        envelope.decode(envelope.encode(HEADER, low))


def test_a_batch_that_was_cut_short_anywhere_is_rejected() -> None:
    body = envelope.encode(HEADER, build([(1, 2, 1, [(0, 0), (1, 3)])]))
    whole = 0
    for end in range(len(body)):
        try:
            whole += len(envelope.decode(body[:end]).scans) > 0
        except Rejected:
            continue
    assert whole <= 8  # the stream's end mark says nothing more


def test_the_columns_are_the_bytes_that_arrows_own_writer_gives() -> None:
    for scans in (build([(1, 2, 1, [(0, 0), (1, 3)])]), build([(1, 2, 1, [(0, 0)]), (2, 3, 4, [(7, 0)])])):
        body = envelope.encode(HEADER, scans)
        stream = body[8 + int.from_bytes(body[4:8], "big") :]
        with pa.ipc.open_stream(stream) as reader:
            schema, record = reader.schema, reader.read_next_batch()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(record)
        assert sink.getvalue().to_pybytes() == stream


def decoded(body: bytes) -> list[bytes | None] | None:
    """Return the columns' bytes; None when the envelope is rejected."""
    try:
        scans = envelope.decode(body).scans
    except Rejected:
        return None
    names = ("device", "time", "received", "first", "how", "offsets", "value")
    quality = None if scans.quality is None else scans.quality.tobytes()
    return [*(getattr(scans, name).tobytes() for name in names), quality]


def decoded_by_arrow(body: bytes) -> list[bytes | None] | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelope, "read_record", lambda body, start: None)
        return decoded(body)


@given(st.lists(scan, min_size=1, max_size=20), st.data())
def test_columns_are_read_without_arrow_exactly_where_arrow_reads_the_same(
    described: list[tuple[int, int, int, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        body = envelope.encode(HEADER, build(described))
        patch.setattr(envelope, "_read_by_arrow", lambda body, start: pytest.fail("read by Arrow"))
        whole = decoded(body)
    assert whole is not None
    assert whole == decoded_by_arrow(body)
    begin = 8 + int.from_bytes(body[4:8], "big")
    for _ in range(10):
        changed = bytearray(body)
        changed[data.draw(st.integers(begin, len(body) - 1))] = data.draw(st.integers(0, 255))
        assert decoded(bytes(changed)) == decoded_by_arrow(bytes(changed))
    cut = body[: data.draw(st.integers(begin, len(body)))]
    assert decoded(cut) == decoded_by_arrow(cut)
