"""A subscription's publishing: requests always wait at the server, and what it publishes is acknowledged.

A notification that did not come shows in the sequence numbers (OPC 10000-4 §5.14.1.2); it is asked for again, and
listed where the server no longer has it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from gateway.adapters.opcua.line import Socket
from gateway.adapters.opcua.notification import Published, read_publish, read_republish
from gateway.adapters.opcua.prepared import Prepared
from gateway.adapters.opcua.usual import read_usual
from muster.errors import Rejected

_OUTSTANDING = 4
_MOST_ACKNOWLEDGED = 64
_MOST_MISSING = 32
_LAST_SEQUENCE = 2**32 - 1  # the next is 1
_COUNT = struct.Struct("<i")
_ACKNOWLEDGED = struct.Struct("<II")


class SubscriptionLost(Exception):
    """The session lives, but the server no longer knows the subscription, or is silent about it."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Notifications that did not come, between `since` and `until` µs; those that can still be asked for by number."""

    since: int
    until: int
    sequences: range


async def subscribe(client: Client, asked: ua.CreateSubscriptionParameters) -> ua.CreateSubscriptionResult:
    """Create a subscription without asyncua's own publishing. Raises what the library raises."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters = asked
    response = struct_from_binary(ua.CreateSubscriptionResponse, await client.uaclient._send_request(request))
    response.ResponseHeader.ServiceResult.check()
    return response.Parameters


class Publisher:
    """Keeps one subscription's publish requests at the server and tells what comes, in order.

    told: called with each notification and keep-alive. woken: called when `check` or `holes` has something new.
    """

    def __init__(
        self,
        client: Client,
        subscription: int,
        now_us: Callable[[], int],
        told: Callable[[Published, int], None],
        woken: Callable[[], None],
    ) -> None:
        socket = client.uaclient.protocol
        assert isinstance(socket, Socket)
        self.holes: list[Hole] = []
        self.came_us = now_us()
        self._client = client
        self._socket = socket
        self._subscription = subscription
        self._now_us, self._told, self._woken = now_us, told, woken
        self._request = Prepared(client, ua.ObjectIds.PublishRequest_Encoding_DefaultBinary)
        self._waiting = 0
        self._most = _OUTSTANDING
        self._next = 1
        self._acknowledged: list[bytes] = []
        self._error: Exception | None = None
        self._stopped = False

    def start(self) -> None:
        """Send the first requests. Raises ConnectionError."""
        self._ask(self._most)

    def stop(self) -> None:
        """Ask and tell no more."""
        self._stopped = True

    def check(self) -> None:
        """Raise what ended the publishing: SubscriptionLost, ConnectionError, or what the library said."""
        if self._error is not None:
            raise self._error

    def answered(self, body: bytes, at: int) -> None:
        """Take a publish response."""
        self._waiting -= 1
        if self._stopped:
            return
        try:
            said = read_usual(body, at) or read_publish(body, at)
        except Rejected:  # as good as not come: its number will be missing
            said = None
        if said is not None and (said.result >> 31 or said.subscription == 0):
            self._refused(said.result)
            said = None
        received = self._now_us()
        since, self.came_us = self.came_us, received if said is not None else self.came_us
        if said is not None and said.subscription == self._subscription:
            self._count(said, since, received)
        self._go_on()
        if said is not None and said.subscription == self._subscription:
            self._told(said, received)

    def broken(self, error: Exception) -> None:
        """Take note that the connection is lost."""
        if not self._stopped:
            self._error = self._error or error
            self._woken()

    async def mend(self, missed: Callable[[Hole], None]) -> None:
        """Ask again for what did not come; `missed` is called with what the server no longer has.

        Raises what the library raises, but for a refusal.
        """
        while self.holes:
            hole = self.holes.pop(0)
            whole = bool(hole.sequences)
            for sequence in hole.sequences:
                request = ua.RepublishRequest()
                request.Parameters.SubscriptionId = self._subscription
                request.Parameters.RetransmitSequenceNumber = sequence
                try:
                    answer = bytes(await self._client.uaclient._send_request(request))
                    said = read_republish(answer, self._subscription)
                except (ua.UaStatusCodeError, Rejected):
                    whole = False
                    continue
                if said.result >> 31 or said.sequence != sequence:
                    whole = False
                    continue
                self._acknowledge(sequence)
                self._told(said, self._now_us())
            if not whole:
                missed(hole)

    def _ask(self, count: int) -> None:
        """Send requests in one write, the first with what is to be acknowledged. Raises ConnectionError."""
        rest, self._acknowledged = _COUNT.pack(len(self._acknowledged)) + b"".join(self._acknowledged), []
        bodies = [self._request.body(self._socket.next_handle(), rest)]
        bodies += [self._request.body(self._socket.next_handle(), _COUNT.pack(0)) for _ in range(count - 1)]
        self._socket.send(bodies, self)
        self._waiting += count

    def _go_on(self) -> None:
        """Send what is missing as soon as half of the requests are answered: one write for several."""
        if self._waiting <= self._most // 2 and self._error is None:
            try:
                self._ask(self._most - self._waiting)
            except ConnectionError as error:
                self.broken(error)

    def _refused(self, result: int) -> None:
        """Go on without what the server does not grant, or not at all."""
        if result == ua.StatusCodes.BadTimeout:
            return
        if result == ua.StatusCodes.BadTooManyPublishRequests and self._waiting:
            self._most = self._waiting
            return
        self.broken(SubscriptionLost(ua.StatusCode(result).name))

    def _count(self, said: Published, since: int, received: int) -> None:
        """Compare a sequence number with the one that comes next, and note what lies between."""
        ahead = (said.sequence - self._next) % _LAST_SEQUENCE
        if ahead and (not said.keeps_alive or ahead <= _MOST_MISSING):
            known = ahead <= _MOST_MISSING and self._next + ahead <= _LAST_SEQUENCE
            self.holes.append(
                Hole(since, received, range(self._next, self._next + ahead) if known else range(0))
            )
            self._woken()
            self._next = said.sequence
        if not said.keeps_alive:
            self._acknowledge(said.sequence)
            self._next = said.sequence % _LAST_SEQUENCE + 1

    def _acknowledge(self, sequence: int) -> None:
        if len(self._acknowledged) < _MOST_ACKNOWLEDGED:
            self._acknowledged.append(_ACKNOWLEDGED.pack(self._subscription, sequence))
