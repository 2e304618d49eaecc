"""One connection as bytes: frames out, frames in, on TCP, TLS and RTU over TCP (`serial_link.py`: on a serial line).

A link finds where frames begin and end and whether a frame answers the request that waits; it never judges what
the answer says (`pdu.check` does). Receiving is done into buffers that stay (`asyncio.BufferedProtocol`): asyncio's
plain protocol allocates a fresh 256 KiB for every read. All links share one, which stays in the processor's cache,
for an event loop reads one socket at a time; only a link in which a frame has begun needs a buffer of its own.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from gateway.adapters.modbus import rtu
from gateway.adapters.modbus.pdu import Request, Violation

_HEAD_LENGTH = 9
_MBAP = struct.Struct(">HHHB")
_BUFFER = 4096
_LONGEST_MBAP = 254
_RECEIVED = bytearray(_BUFFER)
_SHARED = memoryview(_RECEIVED)
"""Where all links receive; whatever lies there is handled before the next of them reads."""
_REMEMBERED = 16
"""Requests given up that a late reply is still known by."""


class Listener(Protocol):
    """Who is told of what a link receives."""

    def answered(self, answer: memoryview) -> None:
        """A read's values came, in the right length, to the request that waits; valid during the call only."""
        ...

    def received(self, pdu: bytes) -> None:
        """A frame came for the request that waits; what it says is not yet checked."""
        ...

    def late(self) -> None:
        """An answer came that nobody waits for any more."""
        ...

    def violated(self, violation: Violation) -> None:
        """What came answers nothing."""
        ...

    def lost(self, reason: str) -> None:
        """The connection ended; `reason` is a catalogue key."""
        ...


class Link(Protocol):
    """One open connection. ended: why it ended already, or empty."""

    ended: str

    def send(self, request: Request) -> float:
        """Send a request, after a pause of as many seconds as returned; the one before it no longer waits."""
        ...

    def forget(self) -> int:
        """Let no request wait: what still comes is late. Return how many bytes of an unfinished reply lay there."""
        ...

    def resynchronise(self) -> bool:
        """Find the beginning of the next reply after bytes that are none; return whether that is possible."""
        ...

    def close(self) -> None:
        """End the connection; nobody is told."""
        ...


class StreamLink(asyncio.BufferedProtocol):
    """What TCP, TLS and RTU over TCP share."""

    __slots__ = ("_begun", "_closed", "_filled", "_listener", "_transport", "_write", "ended")

    def __init__(self, listener: Listener) -> None:
        self.ended = ""
        self._listener = listener
        self._begun: memoryview | None = None
        self._filled = 0
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write: Callable[[bytes], None] = self._transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self.ended = "modbus.connection-lost" if exc else "modbus.connection-closed"
            self._listener.lost(self.ended)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _SHARED if self._begun is None else self._begun[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        came = _SHARED if self._begun is None else self._begun
        self._filled += nbytes
        self._take_all(came)

    def _take_all(self, came: memoryview) -> None:
        """Handle every frame in `came` that is whole, and keep what has begun of the next."""
        at = 0
        while not self._closed and self._filled:
            taken = self._take(came[at : at + self._filled])
            if taken == 0:
                break
            at += taken
            self._filled = max(0, self._filled - taken)
        if not self._filled:
            self._begun = None
        elif at or self._begun is None:
            rest = came[at : at + self._filled]
            self._begun = memoryview(bytearray(_BUFFER))
            self._begun[: len(rest)] = rest

    def _take(self, begun: memoryview) -> int:
        """Handle the first frame; return its length, 0 while it is not whole. No frame is as long as the buffer."""
        raise NotImplementedError

    def close(self) -> None:
        self._closed = True
        self._transport.abort()


class MbapLink(StreamLink):
    """Modbus TCP, and the same under TLS: replies carry the number of their request."""

    __slots__ = ("_abandoned", "_expected", "_expected_length", "_number", "_waiting")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._number = 0
        self._waiting: Request | None = None
        self._expected = b""
        self._expected_length = 0
        self._abandoned: deque[int] = deque(maxlen=_REMEMBERED)

    def send(self, request: Request) -> float:
        self._number = count = (self._number + 1) & 0xFFFF
        number = count.to_bytes(2, "big")
        self._waiting = request
        if request.mbap_head is not None:
            self._expected = number + request.mbap_head
        self._expected_length = request.mbap_length
        self._write(number + request.mbap)
        return 0.0

    def forget(self) -> int:
        self._stop_waiting()
        return self._filled

    def resynchronise(self) -> bool:
        self._filled = 0
        return True

    def buffer_updated(self, nbytes: int) -> None:
        """Take the one frame that nearly always comes at once without looking at it twice."""
        whole = nbytes == self._expected_length and self._begun is None
        if whole and _RECEIVED.startswith(self._expected):
            self._waiting = None
            self._expected_length = 0
            self._listener.answered(_SHARED[_HEAD_LENGTH:nbytes])
        else:
            super().buffer_updated(nbytes)

    def _take(self, begun: memoryview) -> int:
        if len(begun) < _MBAP.size:
            return 0
        number, protocol, length, unit = _MBAP.unpack_from(begun)
        if protocol != 0 or not 2 <= length <= _LONGEST_MBAP:
            self._stop_waiting()
            self._listener.violated(Violation("modbus.garbage", out_of_step=True))
            return self._filled
        end = 6 + int(length)
        if len(begun) < end:
            return 0
        request = self._waiting
        if request is None or number != self._number:
            if number in self._abandoned or number == self._number:
                self._listener.late()
            else:
                wanted = self._number
                self._stop_waiting()
                self._listener.violated(Violation("modbus.wrong-transaction", got=number, wanted=wanted))
            return end
        said = bytes(begun[7:end])
        self._waiting, self._expected_length = None, 0
        if unit != request.unit:
            self._listener.violated(Violation("modbus.wrong-unit", got=unit, wanted=request.unit))
        else:
            self._listener.received(said)
        return end

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._abandoned.append(self._number)
            self._waiting, self._expected_length = None, 0


class RtuFrames:
    """RTU frames in a stream of bytes: one request at a time, the length from the function, the checksum last."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._waiting: Request | None = None
        self._abandoned: deque[int] = deque(maxlen=_REMEMBERED)

    def expect(self, request: Request) -> None:
        """Let `request` wait."""
        self._waiting = request

    def forget(self) -> None:
        """Let nothing wait; what the unit still says is late."""
        if self._waiting is not None:
            self._abandoned.append(self._waiting.unit)
            self._waiting = None

    def take(self, begun: bytes) -> int:
        """Handle the first frame of `begun`; return how many bytes were used, 0 while it is not whole."""
        request = self._waiting
        if request is None:
            self._listener.late()
            return len(begun)
        length = rtu.reply_length(begun)
        if length is None or 0 < len(begun) < length:
            return 0
        if length == 0:
            return self._refuse(Violation("modbus.garbage", out_of_step=True), begun)
        frame = begun[:length]
        if rtu.with_crc(frame[:-2]) != frame:
            return self._refuse(Violation("modbus.wrong-checksum", out_of_step=True), begun)
        if frame[0] != request.unit:
            if frame[0] in self._abandoned:
                self._listener.late()
                return length
            return self._refuse(Violation("modbus.wrong-unit", got=frame[0], wanted=request.unit), begun)
        self._waiting = None
        self._listener.received(frame[1:-2])
        return length

    def _refuse(self, violation: Violation, begun: bytes) -> int:
        self._waiting = None
        self._listener.violated(violation)
        return len(begun)


class RtuStreamLink(StreamLink):
    """RTU frames through a TCP tunnel: without numbers, so a late reply can only be told by closing."""

    __slots__ = ("_frames",)

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._frames = RtuFrames(listener)

    def send(self, request: Request) -> float:
        self._filled = 0
        self._frames.expect(request)
        self._write(request.rtu)
        return 0.0

    def forget(self) -> int:
        self._frames.forget()
        return self._filled

    def resynchronise(self) -> bool:
        return False

    def _take(self, begun: memoryview) -> int:
        return self._frames.take(bytes(begun))
