"""A link's frames, however their bytes are cut and whatever other links receive between them."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.link import MbapLink, RtuStreamLink, StreamLink
from gateway.adapters.modbus.pdu import Refused, Request, Violation, check, read
from gateway.adapters.modbus.rtu import with_crc

REQUEST = read(1, "holding", 0, 2)


class Wire:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def abort(self) -> None:
        pass


class Ear:
    """Keeps what a link tells, whichever way it found the answer."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def answered(self, answer: memoryview) -> None:
        self.heard.append(bytes(answer))

    def received(self, pdu: bytes) -> None:
        try:
            self.heard.append(check(REQUEST, pdu))
        except Refused as refused:
            self.heard.append(refused.code)
        except Violation as violation:
            self.violated(violation)

    def late(self) -> None:
        self.heard.append("late")

    def violated(self, violation: Violation) -> None:
        self.heard.append((violation.reason, violation.detail))

    def lost(self, reason: str) -> None:
        raise AssertionError(reason)


def linked(kind: type[StreamLink]) -> tuple[Any, Ear, Wire]:
    ear, wire = Ear(), Wire()
    link = kind(ear)
    link.connection_made(cast(Any, wire))
    return link, ear, wire


def feed(link: StreamLink, data: bytes) -> None:
    """Let the link receive, as an event loop does."""
    buffer = link.get_buffer(-1)
    buffer[: len(data)] = data
    link.buffer_updated(len(data))


def frame(kind: type[StreamLink], request: Request, number: bytes, values: bytes) -> bytes:
    pdu = bytes([request.function, len(values)]) + values
    if kind is RtuStreamLink:
        return with_crc(bytes([request.unit]) + pdu)
    return number + b"\0\0" + (1 + len(pdu)).to_bytes(2, "big") + bytes([request.unit]) + pdu


@pytest.mark.parametrize("kind", [MbapLink, RtuStreamLink])
@given(data=st.data())
def test_however_a_stream_is_cut_and_whatever_other_links_receive_the_same_is_heard(
    kind: type[StreamLink], data: st.DataObject
) -> None:
    (whole, heard, wire), (cut, also, _), (other, _, _) = linked(kind), linked(kind), linked(kind)
    for _ in range(data.draw(st.integers(1, 4))):
        for link in (whole, cut, other):
            link.send(REQUEST)
        said = bytearray(
            frame(kind, REQUEST, wire.sent[-1][:2], data.draw(st.binary(min_size=4, max_size=4)))
        )
        if data.draw(st.booleans()):
            said[data.draw(st.integers(0, len(said) - 1))] = data.draw(st.integers(0, 255))
        if kind is MbapLink:
            said += data.draw(st.sampled_from([b"", bytes(said), b"\xff\xff\0\0\0\3\1\3\0"]))
        feed(whole, bytes(said))
        cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=4)))
        pieces = [bytes(said[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        if heard.heard and isinstance(heard.heard[-1], tuple):
            pieces = [bytes(said)]  # garbage is thrown away as far as it came, so the cut matters
        for piece in pieces:
            feed(cut, piece)
            feed(other, data.draw(st.binary(min_size=1, max_size=20)))
            other.resynchronise()
        for link in (whole, cut):
            link.forget()
            link.resynchronise()
    assert also.heard == heard.heard


def test_an_unfinished_reply_is_counted_and_forgotten_with_its_request() -> None:
    link, ear, wire = linked(MbapLink)
    link.send(REQUEST)
    feed(link, frame(MbapLink, REQUEST, wire.sent[-1][:2], bytes(4))[:7])
    assert link.forget() == 7
    assert ear.heard == []
