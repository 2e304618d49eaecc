"""Endpoints: a listening port that answers for several units, with faults where they are asked for.

One connection is one `BufferedProtocol`; an answer is made and written within the call that received the
request, so a poll costs one wake-up of the loop.
"""

import asyncio
import random
import struct
from collections.abc import Mapping
from typing import cast

from muster.errors import Unavailable
from simulators.equipment import Equipment
from simulators.faults import Fault, FaultKind, spoil
from simulators.modbus.protocol import answer, refuse, span
from simulators.modbus.units import TARGET_DID_NOT_RESPOND, Unit

_HEAD = struct.Struct(">HHHB")
_BUFFER_BYTES = 2048
_SHORTEST, _LONGEST = 2, 254  # of the frame's length field: unit and protocol data unit
KINDS = frozenset(
    {
        FaultKind.DROP,
        FaultKind.HALF_OPEN,
        FaultKind.SLOW,
        FaultKind.FREEZE,
        FaultKind.GARBAGE,
        FaultKind.WRONG_FUNCTION,
        FaultKind.WRONG_UNIT,
        FaultKind.WRONG_TRANSACTION,
        FaultKind.SHORT_REPLY,
        FaultKind.EXCEPTION,
        FaultKind.REFUSE,
    }
)
_SILENT = (FaultKind.HALF_OPEN, FaultKind.REFUSE)


class Endpoint(Equipment):
    """One listening port, its units, its connections and its faults."""

    kinds = KINDS

    def __init__(self, number: int, host: str, port: int, units: Mapping[int, Unit], seed: int = 0) -> None:
        super().__init__(number, port)
        self.host = host
        self._units = units
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._chance = random.Random(seed)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def listening(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    def unit(self, number: int) -> Unit | None:
        """Return the unit of this number."""
        return self._units.get(number)

    async def open(self) -> None:
        """Listen. Raises Unavailable when the port is taken."""
        if self._server is not None:
            return
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self), self.host, self.port, reuse_address=True, backlog=512
            )
        except OSError as error:
            raise Unavailable(f"{self.host}:{self.port}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Stop listening and close every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        leaving = list(self._connections)
        for connection in leaving:
            connection.abort()
        for connection in leaving:
            await connection.ended.wait()
        if server is not None:
            await server.wait_closed()

    async def _suffer(self, fault: Fault | None) -> None:
        if fault is None:
            await self.open()
        elif fault.kind is FaultKind.REFUSE:
            await self.close()
        else:
            await self.open()
            if fault.kind is FaultKind.DROP:
                for connection in list(self._connections):
                    connection.abort()

    def receive(self, connection: "Connection", transaction: int, number: int, request: bytes) -> None:
        """Answer one request, or do what the fault in force says."""
        self.requests += 1
        unit = self._units.get(number)
        fault = self.fault
        if fault is None and self._place_faults:
            fault = self._fault_at(number, request)
        if fault is not None and fault.kind in _SILENT:
            return
        if fault is not None and fault.kind is FaultKind.DROP:
            connection.abort()
            return
        reply = refuse(request[0], TARGET_DID_NOT_RESPOND) if unit is None else answer(unit, request)
        if fault is None or fault.kind is FaultKind.FREEZE:
            connection.send(_HEAD.pack(transaction, 0, len(reply) + 1, number) + reply)
            return
        frame = spoil(fault.kind, transaction, number, reply, self._chance)
        if fault.kind is FaultKind.SLOW:
            asyncio.get_running_loop().call_later(fault.delay_s, connection.send, frame)
        else:
            connection.send(frame)

    def _fault_at(self, number: int, request: bytes) -> Fault | None:
        about = span(request)
        for place, fault in self._place_faults.items():
            if place.unit == number and place.holds(about):
                return fault
        return None

    def joined(self, connection: "Connection") -> None:
        """Take note of a new connection; one that was accepted just before the port closed ends at once."""
        self._connections.add(connection)
        if self._server is None:
            connection.abort()

    def left(self, connection: "Connection") -> None:
        """Take note of a connection's end."""
        self._connections.discard(connection)


class Connection(asyncio.BufferedProtocol):
    """One client's connection: cuts frames out of what arrives (Messaging on TCP/IP V1.0b, clause 3.1)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.ended = asyncio.Event()
        self._endpoint = endpoint
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._endpoint.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._endpoint.left(self)
        self.ended.set()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read what it asked for."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        start = 0
        while self._filled - start >= 8:
            transaction, protocol, length, unit = _HEAD.unpack_from(self._buffer, start)
            if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
                self.abort()
                return
            end = start + 6 + length
            if end > self._filled:
                break
            self._endpoint.receive(self, transaction, unit, bytes(self._view[start + 7 : end]))
            if self._transport is None or self._transport.is_closing():
                return
            start = end
        if start:
            rest = self._filled - start
            self._buffer[:rest] = self._buffer[start : self._filled]
            self._filled = rest

    def send(self, frame: bytes) -> None:
        """Write a frame, unless the client has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
