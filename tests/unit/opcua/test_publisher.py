"""Publish requests always wait at the server, asked for in one write as soon as half of them are answered."""

from types import SimpleNamespace
from typing import Any

from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.adapters.opcua.line import Socket
from gateway.adapters.opcua.notification import Published
from gateway.adapters.opcua.publishing import Publisher
from tests.unit.opcua.test_line import Transport, connected, frame
from tests.unit.opcua.test_notification import TYPE, response, told


class Server:
    """Answers a publisher's requests in their order, by bytes."""

    def __init__(self) -> None:
        self.socket = Socket(4.0, SecurityPolicyNone())
        self.transport: Transport = connected(self.socket)
        self.told: list[Published] = []
        session = SimpleNamespace(authentication_token=ua.NodeId(7, 1))
        client: Any = SimpleNamespace(uaclient=SimpleNamespace(protocol=self.socket, session=session))
        self.publisher = Publisher(client, 7, lambda: 0, lambda said, _: self.told.append(said), lambda: None)
        self._answered = 0

    def answer(self, body: bytes) -> None:
        self._answered += 1
        self.socket.data_received(frame(self._answered, self._answered, body))

    def publish(self, sequence: int) -> None:
        value = ua.DataValue(ua.Variant(1.5, TYPE.Double))
        self.answer(response(told([(1, value)]), sequence=sequence))

    def refuse(self, reason: int) -> None:
        fault = ua.ServiceFault()
        fault.ResponseHeader.ServiceResult = ua.StatusCode(reason)
        self.answer(bytes(struct_to_binary(fault)))

    def asked(self) -> list[list[list[int]]]:
        """Return of each write since the last call, of each request in it, what it acknowledges."""
        writes, self.transport.written = self.transport.written, []
        return [[_acknowledged(body) for body in _bodies(octets)] for octets in writes]


def _bodies(octets: bytes) -> list[bytes]:
    bodies = []
    while octets:
        size = int.from_bytes(octets[4:8], "little")
        bodies.append(octets[24:size])
        octets = octets[size:]
    return bodies


def _acknowledged(body: bytes) -> list[int]:
    request = struct_from_binary(ua.PublishRequest, ua.utils.Buffer(body))
    assert {one.SubscriptionId for one in request.Parameters.SubscriptionAcknowledgements} <= {7}
    return [one.SequenceNumber for one in request.Parameters.SubscriptionAcknowledgements]


def test_half_of_the_requests_are_sent_in_one_write_with_what_came_since_acknowledged() -> None:
    server = Server()
    server.publisher.start()
    assert server.asked() == [[[], [], [], []]]
    server.publish(1)
    assert server.asked() == []
    server.publish(2)
    assert server.asked() == [[[1, 2], []]]
    server.publish(3)
    server.publish(4)
    assert server.asked() == [[[3, 4], []]]
    assert [said.sequence for said in server.told] == [1, 2, 3, 4]
    assert server.publisher.holes == []


def test_a_server_that_grants_fewer_requests_is_asked_for_no_more() -> None:
    server = Server()
    server.publisher.start()
    server.refuse(ua.StatusCodes.BadTooManyPublishRequests)
    server.refuse(ua.StatusCodes.BadTooManyPublishRequests)
    server.refuse(ua.StatusCodes.BadTooManyPublishRequests)
    server.asked()
    for sequence in (1, 2, 3):
        server.publish(sequence)
        assert server.asked() == [[[sequence]]]
    server.publisher.check()


def test_a_server_that_times_requests_out_is_asked_again() -> None:
    server = Server()
    server.publisher.start()
    server.asked()
    for _ in range(2):
        server.refuse(ua.StatusCodes.BadTimeout)
    assert server.asked() == [[[], []]]
    server.publisher.check()
