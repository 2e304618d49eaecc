"""Cutting a broker's bytes into packets: however they are split, and whatever they are."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.adapters.mqtt.packets import MOST_PACKET_BYTES, MOST_PAYLOAD_BYTES, Message, Packets
from muster.errors import Rejected

PINGRESP, SUBACK, PUBREL = b"\xd0\x00", b"\x90\x03\x00\x01\x01", b"\x62\x02\x00\x07"


def length(value: int) -> bytes:
    """Return a remaining length (MQTT 3.1.1, 2.2.3)."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def publish(
    name: bytes, payload: bytes, packet: int = 0, flags: int = 0, properties: bytes | None = None
) -> bytes:
    """Return a PUBLISH, at QoS 1 when it has an identifier; properties: with MQTT 5, without their length."""
    body = len(name).to_bytes(2, "big") + name
    if packet:
        body, flags = body + packet.to_bytes(2, "big"), flags | 2
    if properties is not None:
        body += length(len(properties)) + properties
    body += payload
    return bytes([0x30 | flags]) + length(len(body)) + body


def cut(pieces: list[bytes], five: bool = False) -> list[Message | bytes]:
    """Return what comes out when these pieces are given one after another. Raises Rejected."""
    packets = Packets(five=five)
    found: list[Message | bytes] = []
    for piece in pieces:
        for one in packets.feed(piece, 5):
            if isinstance(one, Rejected):
                raise one
            found.append(one)
    return found


def test_a_stream_split_at_every_byte_gives_the_same_packets() -> None:
    stream = b"".join(
        [
            publish(b"a", b"1"),
            PINGRESP,
            publish(b"plant/press-1", b"x" * 200, 65_535, flags=8),
            SUBACK,
            publish(b"a", b"", 2, flags=1),
            PUBREL,
        ]
    )
    whole = cut([stream])
    assert whole == [
        Message("a", b"1", 0, False, False, 5),
        PINGRESP,
        Message("plant/press-1", b"x" * 200, 1, False, True, 5, 65_535),
        SUBACK,
        Message("a", b"", 1, True, False, 5, 2),
        PUBREL,
    ]
    for at in range(len(stream)):
        assert cut([stream[:at], stream[at:]]) == whole
    assert cut([stream[at : at + 1] for at in range(len(stream))]) == whole


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=300), st.integers(0, 65_535))),
    st.lists(st.integers(1, 400)),
    st.one_of(st.none(), st.binary(max_size=200)),
)
def test_what_was_put_together_is_cut_again(
    messages: list[tuple[bytes, bytes, int]], sizes: list[int], properties: bytes | None
) -> None:
    stream = b"".join(publish(*one, properties=properties) for one in messages)
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    found = cut([*pieces, stream], five=properties is not None)
    assert [(one.payload, one.packet) for one in found if isinstance(one, Message)] == [
        one[1:] for one in messages
    ]


@given(st.lists(st.binary(max_size=60)), st.booleans())
@example([publish(b"a", b"1")[:-1], b"", b"\xff"], True)
def test_any_bytes_give_packets_or_are_refused(pieces: list[bytes], five: bool) -> None:
    try:
        found = cut(pieces, five)
    except Rejected:
        return
    assert sum(len(one) if isinstance(one, bytes) else 2 for one in found) <= sum(map(len, pieces))


@pytest.mark.parametrize(
    "stream",
    [
        b"\x00\x00",  # type 0
        b"\x10\x00",  # CONNECT comes from clients
        b"\x82\x02\x00\x01",  # SUBSCRIBE, too
        b"\xc0\x00",  # PINGREQ
        b"\xd1\x00",  # flags that must be 0
        b"\x60\x02\x00\x01",  # PUBREL's must be 2
        b"\x30\x00",  # no topic
        b"\x30\x01\x00",
        b"\x30\x02\x00\x00",  # an empty topic
        b"\x30\x03\x00\x05a",  # a topic longer than its packet
        b"\x32\x04\x00\x01a\x00",  # no room for the identifier
        b"\x32\x05\x00\x01a\x00\x00",  # identifier 0
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x30\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\xd0\xff\xff\xff\x7f",  # a PINGRESP of 256 MB
        b"\x34\xff\xff\xff\x7f",  # QoS 2 of 256 MB
        b"\xe0\x00",  # DISCONNECT from a broker: MQTT 5
    ],
)
def test_what_no_broker_may_send_is_refused(stream: bytes) -> None:
    with pytest.raises(Rejected):
        cut([stream + publish(b"a", b"1")])
    before, wrong = Packets(five=False).feed(PINGRESP + stream + PINGRESP, 5)
    assert before == PINGRESP
    assert isinstance(wrong, Rejected)


@pytest.mark.parametrize(
    "stream",
    [
        publish(b"a", b"", 1)[:-1] + b"\x01",  # no length of properties: the packet's own end
        b"\x32\x05\x00\x01a\x00\x01",
        b"\x32\x06\x00\x01a\x00\x01\x01",  # properties behind the end
        b"\x32\x07\x00\x01a\x00\x01\x80\x80" + PINGRESP,
        publish(b"", b"1", 1, properties=b"\x23\x00\x01"),  # an alias that was not agreed
    ],
)
def test_properties_that_do_not_fit_are_refused(stream: bytes) -> None:
    with pytest.raises(Rejected):
        cut([stream + PINGRESP], five=True)


def test_the_end_of_a_packet_is_looked_for_once_it_can_be_there() -> None:
    payload = bytes(3 << 20)
    stream = publish(b"a", payload, 1) + PINGRESP
    pieces = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    message, ping = cut(pieces)
    assert isinstance(message, Message)
    assert message.payload == payload
    assert ping == PINGRESP


def test_of_a_packet_beyond_all_bounds_only_the_beginning_is_kept() -> None:
    size = MOST_PACKET_BYTES + 5_000_000
    head = b"\x32" + length(size) + b"\x00\x01a\x00\x09"
    packets = Packets(five=False)
    found = packets.feed(head, 5)
    left, piece = size - 5, bytes(1 << 20)
    while left:
        now = min(left, len(piece))
        left -= now
        found += packets.feed(piece[:now] + (b"" if left else PINGRESP + publish(b"b", b"2", 3)), 5)
    message, ping, next_one = found
    assert isinstance(message, Message)
    assert (message.topic, message.packet, len(message.payload)) == ("a", 9, MOST_PAYLOAD_BYTES)
    assert ping == PINGRESP
    assert next_one == Message("b", b"2", 1, False, False, 5, 3)


def test_a_topic_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    (message,) = cut([publish(b"a\xff", b"1")])
    assert isinstance(message, Message)
    assert message.topic == "a\\xff"
