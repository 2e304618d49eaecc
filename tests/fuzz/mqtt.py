"""MQTT: a broker's packets in any pieces, and JSON payloads as values."""

import contextlib
import json

from gateway.adapters.mqtt.mapping import Mapping, Stamp, Target
from gateway.adapters.mqtt.packets import Message, Packets
from gateway.adapters.mqtt.paths import compile_path
from gateway.adapters.mqtt.values import TYPES
from muster.clock import EARLIEST_US, LATEST_US
from muster.errors import Rejected
from tests.fuzz.scans import check

_KINDS = sorted(TYPES)
_TARGETS = [Target(at, kind, compile_path(f"$.v{at}", "path")) for at, kind in enumerate(_KINDS, 1)]
_NUMBERS = [Target(at, "float64", compile_path(f"$.n[{at}]", "path"), 1e300) for at in range(1, 4)]
_MAPPINGS = [
    Mapping(_TARGETS, Stamp(compile_path("$.t", "path"), "ms")),
    Mapping(_TARGETS, Stamp(compile_path("$.t", "path"), "iso"), compile_path("$.r[*]", "path")),
    Mapping(_NUMBERS, identity={"serial": compile_path("$..sn", "path")}),
    Mapping([Target(1, "float32", compile_path("$", "path"))], text=True),
]


def packets(data: bytes) -> None:
    """Take the first byte for the version and for how much comes at once: in pieces as whole, the same is found."""
    if not data:
        return
    five, at_once, stream = bool(data[0] & 1), 1 + (data[0] >> 1), data[1:]
    whole = _told(Packets(five=five).feed(stream, 0))
    pieces: list[tuple[object, ...]] = []
    cut = Packets(five=five)
    for at in range(0, len(stream), at_once):
        pieces += _told(cut.feed(stream[at : at + at_once], 0))
        if pieces and pieces[-1] == ("rejected",):
            break
    assert pieces == whole


def _told(found: list[Message | bytes | Rejected]) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []
    for one in found:
        if isinstance(one, Message):
            assert one.qos < 2
            assert (one.packet > 0) == (one.qos > 0)
            told.append((one.topic, one.payload, one.qos, one.retain, one.packet))
        else:
            told.append(("rejected",) if isinstance(one, Rejected) else (one,))
    return told


def mapping(data: bytes) -> None:
    """Take the first byte for the mapping, the rest for a payload."""
    if not data:
        return
    one = _MAPPINGS[data[0] % len(_MAPPINGS)]
    with contextlib.suppress(Rejected):
        read = one.read(data[1:])
        for record in read.records:
            assert record.time is None or EARLIEST_US <= record.time <= LATEST_US
            check(record.value, record.quality, {position for position, _ in record.texts}, record.first)
        assert all(isinstance(fact, str) for fact in one.identity(read.document).values())
        if (quick := one.quick(data[1:])) is not None:
            (record,) = read.records
            assert quick == (record.time, record.value.tobytes())


def _published(topic: bytes, payload: bytes, qos: int = 0, *, five: bool = False) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (b"\x00\x07" if qos else b"") + (b"\x00" if five else b"")
    body += payload
    return bytes([0x30 | qos << 1, len(body)]) + body


PACKETS = [
    b"\x06" + _published(b"plant/a", b"{}") + _published(b"plant/b", b"12", 1) + b"\xd0\x00",
    b"\x07" + _published(b"plant/a", b"{}", 1, five=True) + b"\x40\x02\x00\x01",
    b"\x02" + b"\x20\x02\x00\x00\x90\x03\x00\x01\x01",
]
_ALL = {"t": 1_700_000_000_000} | {f"v{at}": 1 for at in range(1, len(_KINDS) + 1)}
PAYLOADS = [
    b"\x00" + json.dumps(_ALL).encode(),
    b"\x01" + json.dumps({"r": [_ALL | {"t": "2026-01-01T00:00:00Z"}, {"v1": "x"}]}).encode(),
    b"\x02" + b'{"n": [0, 1.5, 2e9, -3], "sn": "SN-1"}',
    b"\x03" + b"12.5",
]
