"""Modbus: replies as frames on TCP and serial lines, as PDUs, and the registers in them as values."""

import contextlib
import struct
from typing import Any

import numpy as np

from gateway.adapters.modbus import pdu as pdus
from gateway.adapters.modbus.decode import Decoder
from gateway.adapters.modbus.link import MbapLink, RtuFrames
from gateway.adapters.modbus.pdu import Refused, Request, Violation, with_crc
from muster.quality import Quality
from muster.scans import NULL_BITS
from tests.unit.modbus.documents import blocks_of, tag

_BLOCKS = blocks_of(
    tag(1, "uint16", table="holding", register=0),
    tag(2, "float32", table="holding", register=1, word_order="little"),
    tag(3, "float64", table="holding", register=3),
    tag(4, "int64", table="holding", register=7),
    tag(5, "string", table="holding", register=11, length=4),
    tag(6, "float32", table="holding", register=15, scale=1e30),
    tag(7, "uint64", table="holding", register=17),
)
_READ = pdus.read(1, "holding", _BLOCKS[0].start, _BLOCKS[0].count)
_REQUESTS = [
    _READ,
    pdus.read(1, "coil", 0, 13),
    pdus.write_register(1, 5, b"\x12\x34"),
    pdus.write_registers(1, 5, b"\x12\x34\x56\x78"),
    pdus.mask_write(1, 5, 0xFF00, 0x0012),
    pdus.read_identification(1, 1, 0),
]


def pdu(data: bytes) -> None:
    """Take the first byte for which request was sent, the rest for its answer."""
    if data:
        _answer(_REQUESTS[data[0] % len(_REQUESTS)], data[1:])


def mbap(data: bytes) -> None:
    """Take the first two bytes for the request and for how much of the stream comes at once."""
    if len(data) < 2:
        return
    request, at_once, stream = _REQUESTS[data[0] % len(_REQUESTS)], 1 + data[1], data[2:]
    link = MbapLink(_Asker(request))
    link.connection_made(_Wire())  # type: ignore[arg-type]
    link.send(request)
    for at in range(0, len(stream), at_once):
        part = stream[at : at + at_once]
        room = link.get_buffer(len(part))
        assert len(room) >= len(part)
        room[: len(part)] = part
        link.buffer_updated(len(part))


def rtu(data: bytes) -> None:
    """Take the first byte for the request, the rest for what a serial line brings."""
    if not data:
        return
    request = _REQUESTS[data[0] % len(_REQUESTS)]
    frames, begun = RtuFrames(_Asker(request)), data[1:]
    frames.expect(request)
    while begun:
        used = frames.take(begun)
        assert 0 <= used <= len(begun)
        if not used:
            return
        begun = begun[used:]


class _Wire:
    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


class _Asker:
    """Listens as a line does: one answer to one request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._answered = False

    def answered(self, answer: memoryview) -> None:
        assert len(answer) == self._request.size
        self._take(bytes([self._request.function, self._request.size or 0]) + bytes(answer))

    def received(self, pdu: bytes) -> None:
        self._take(pdu)

    def late(self) -> None: ...

    def violated(self, violation: Violation) -> None:
        assert violation.reason.startswith("modbus.")

    def lost(self, reason: str) -> None:
        raise AssertionError(reason)

    def _take(self, pdu: bytes) -> None:
        assert not self._answered
        self._answered = True
        _answer(self._request, pdu)


def _answer(request: Request, pdu: bytes) -> None:
    with contextlib.suppress(Refused, Violation):
        said = pdus.check(request, pdu)
        assert request.size is None or len(said) == request.size
        if request is _READ:
            _values(said)


def _values(registers: bytes) -> None:
    decoder = Decoder(_BLOCKS)
    found = decoder.decode(registers)
    absent: Any = found.value.view(np.uint64) == NULL_BITS
    assert np.isfinite(found.value[~absent]).all()
    texts = {text.position for text in found.texts}
    for at in np.flatnonzero(absent).tolist():
        assert at + 1 in texts or (found.quality is not None and found.quality[at] >= Quality.BAD)


_GOOD = bytes([3, 2 * _BLOCKS[0].count]) + b"\x01\x02" * _BLOCKS[0].count
_ANSWERS = [_GOOD, b"\x01\x02\xff\x1f", *(one.echo or b"" for one in _REQUESTS[2:5])]
_ANSWERS += [b"\x2b\x0e\x01\x01\x00\x00\x01\x00\x03abc"]
PDUS = [bytes([at]) + one for at, one in enumerate(_ANSWERS)] + [b"\x00\x83\x02"]
FRAMES = [
    bytes([at, 5]) + struct.pack(">HHHB", 1, 0, len(one) + 1, 1) + one for at, one in enumerate(_ANSWERS)
]
RTU_FRAMES = [bytes([at]) + with_crc(b"\x01" + one) for at, one in enumerate(_ANSWERS)]
