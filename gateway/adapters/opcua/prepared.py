"""Requests that are sent again and again: laid out once, of which only time, handle and end change."""

import asyncio
import struct
import time

from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary

from gateway.adapters.opcua.line import Socket

_TYPE = struct.Struct("<BBH")
_HEADER = struct.Struct("<qIIiI3x")  # time, handle, no diagnostics, no audit entry, no hint, nothing more
_EPOCH_TICKS = 116_444_736_000_000_000
_FOUR_BYTES = 1


class Prepared:
    """One service's request in one session. kind: the number of its binary encoding."""

    def __init__(self, client: Client, kind: int) -> None:
        token: bytes = nodeid_to_binary(client.uaclient.session.authentication_token)
        self._head = _TYPE.pack(_FOUR_BYTES, 0, kind) + token

    def body(self, handle: int, rest: bytes) -> bytes:
        """Return a request's body; `rest` are the service's own parameters."""
        ticks = time.time_ns() // 1000 * 10 + _EPOCH_TICKS
        return self._head + _HEADER.pack(ticks, handle, 0, -1, 0) + rest


class _Answer:
    """Waits for one answer; one that comes too late is dropped."""

    def __init__(self) -> None:
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answered(self, body: bytes, at: int) -> None:
        if not self.body.done():
            self.body.set_result(body[at:])

    def broken(self, error: Exception) -> None:
        if not self.body.done():
            self.body.set_exception(error)


class Reading:
    """One node's value, read over and over."""

    def __init__(self, client: Client, node: ua.NodeId, timeout_s: float) -> None:
        asked = ua.ReadParameters(MaxAge=0, NodesToRead=[ua.ReadValueId(node, ua.AttributeIds.Value)])
        asked.TimestampsToReturn = ua.TimestampsToReturn.Both
        self._parameters = bytes(struct_to_binary(asked))
        self._request = Prepared(client, ua.ObjectIds.ReadRequest_Encoding_DefaultBinary)
        self._client = client
        self._timeout_s = timeout_s

    async def read(self) -> ua.DataValue:
        """Return the value now. Raises ConnectionError, TimeoutError, or what the library raises for a refusal."""
        socket = self._client.uaclient.protocol
        if not isinstance(socket, Socket):
            raise ConnectionError("connection is not open")
        answer = _Answer()
        socket.send([self._request.body(socket.next_handle(), self._parameters)], answer)
        async with asyncio.timeout(self._timeout_s):
            body = await answer.body
        socket.check_answer(Buffer(body), "")
        response = struct_from_binary(ua.ReadResponse, Buffer(body))
        response.ResponseHeader.ServiceResult.check()
        (found,) = response.Results
        return found
