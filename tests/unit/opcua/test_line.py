"""What the short way takes and sends is what asyncua's own would, message by message, whole or in pieces."""

import struct
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.crypto.security_policies import SecurityPolicyNone
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.opcua.line import Socket

CHANNEL, TOKEN = 5, 9
REQUESTS = range(1, 5)


class Transport:
    """Keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Waiting:
    """Notes the answer to one request, prepared or asyncua's."""

    def __init__(self, request: int, answers: list[tuple[int, bytes]]) -> None:
        self._request, self._answers = request, answers

    def answered(self, body: bytes, at: int) -> None:
        self._answers.append((self._request, body[at:]))

    def broken(self, error: Exception) -> None:
        """Nothing more will come, as where a server says why it ends the connection."""

    def set_result(self, body: Any) -> None:
        self._answers.append((self._request, bytes(body)))

    def done(self) -> bool:
        return True


def connected(socket: Any, peer_sequence: int = 0) -> Transport:
    transport = Transport()
    socket.connection_made(transport)
    connection = socket._connection
    connection.security_token.ChannelId, connection.security_token.TokenId = CHANNEL, TOKEN
    connection._peer_sequence_number = peer_sequence
    return transport


def frame(
    request: int,
    sequence: int,
    body: bytes,
    channel: int = CHANNEL,
    token: int = TOKEN,
    kind: bytes = b"MSGF",
) -> bytes:
    return struct.pack("<4sIIIII", kind, 24 + len(body), channel, token, sequence, request) + body


@given(
    st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4), st.sampled_from([0, 7, 2**32 - 2])
)
def test_what_is_sent_is_what_asyncua_would_send(bodies: list[bytes], sequence: int) -> None:
    ours, theirs = Socket(4.0, SecurityPolicyNone()), UASocketProtocol(4.0, SecurityPolicyNone())
    transport = connected(ours)
    connected(theirs)
    ours._connection._sequence_number = theirs._connection._sequence_number = sequence
    ours.send(bodies, Waiting(0, []))
    wanted = [theirs._connection.message_to_binary(body, request_id=at) for at, body in enumerate(bodies, 1)]
    assert transport.written == [b"".join(wanted)]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Messages of a server, most of them in order, and perhaps one octet spoilt."""
    sequence, octets = draw(st.sampled_from([0, 0, 40])), b""
    begun = sequence
    for _ in range(draw(st.integers(1, 4))):
        sequence += draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2]))
        octets += frame(
            draw(st.sampled_from([*REQUESTS, *REQUESTS, *REQUESTS, 77])),
            sequence,
            draw(st.binary(max_size=40)),
            draw(st.sampled_from([CHANNEL] * 9 + [6])),
            draw(st.sampled_from([TOKEN] * 9 + [0, 8])),
            draw(st.sampled_from([b"MSGF"] * 6 + [b"MSGC", b"MSGA", b"ERRF"])),
        )
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(octets) - 1))
        octets = octets[:at] + bytes([draw(st.integers(0, 255))]) + octets[at + 1 :]
    return struct.pack("<I", begun) + octets


@settings(max_examples=400)
@given(streams(), st.lists(st.integers(0, 200), max_size=3), st.sets(st.sampled_from(REQUESTS)))
def test_what_comes_is_taken_as_asyncua_takes_it(stream: bytes, cuts: list[int], prepared: set[int]) -> None:
    (begun,) = struct.unpack_from("<I", stream)
    octets = stream[4:]
    ours, theirs = Socket(4.0, SecurityPolicyNone()), UASocketProtocol(4.0, SecurityPolicyNone())
    answers: list[tuple[int, bytes]] = []
    wanted: list[tuple[int, bytes]] = []
    here, there = connected(ours, begun), connected(theirs, begun)
    for request in REQUESTS:
        theirs._callbackmap[request] = Waiting(request, wanted)  # type: ignore[assignment]
        if request in prepared:
            ours._listeners[request] = Waiting(request, answers)
        else:
            ours._callbackmap[request] = Waiting(request, answers)  # type: ignore[assignment]
    ends = sorted({min(cut, len(octets)) for cut in cuts} | {len(octets)})
    for begin, end in zip([0, *ends], ends, strict=False):
        if not here.closed:
            ours.data_received(octets[begin:end])
    theirs.data_received(octets)
    assert answers == wanted
    assert here.closed >= there.closed


def test_a_message_longer_than_was_agreed_is_asyncuas_to_refuse() -> None:
    ours = Socket(4.0, SecurityPolicyNone())
    transport, answers = connected(ours), list[tuple[int, bytes]]()
    ours._connection._limits.max_recv_buffer = 100
    ours._listeners[1] = ours._listeners[2] = Waiting(1, answers)
    ours.data_received(frame(1, 1, bytes(76)))
    assert len(answers) == 1
    ours._listeners.clear()
    ours.data_received(frame(2, 2, bytes(77)))
    assert transport.closed
    assert len(answers) == 1


def test_no_bytes_of_a_channel_without_a_token_are_believed() -> None:
    ours = Socket(4.0, SecurityPolicyNone())
    transport, answers = connected(ours), list[tuple[int, bytes]]()
    ours._connection.security_token = ua.ChannelSecurityToken()
    ours._callbackmap[1] = Waiting(1, answers)  # type: ignore[assignment]
    ours.data_received(frame(1, 1, b"x"))
    assert (transport.closed, answers) == (True, [])
