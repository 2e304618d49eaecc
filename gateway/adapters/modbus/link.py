"""One connection as bytes: frames out, frames in, on TCP, TLS, RTU over TCP and serial lines.

A link finds where frames begin and end and whether a frame answers the request that waits; it never judges what
the answer says (`pdu.check` does). Receiving is done into one buffer that lives as long as the connection
(`asyncio.BufferedProtocol`): asyncio's plain protocol allocates a fresh 256 KiB for every read.
"""

import asyncio
import os
import ssl
import struct
from typing import Protocol, cast

import serial

from gateway.adapters.modbus import rtu
from gateway.adapters.modbus.config import LineSettings, Tls
from gateway.adapters.modbus.pdu import Request, Silence, Violation
from muster.errors import ConfigError

_HEAD = struct.Struct(">HHHBBB")
_MBAP = struct.Struct(">HHHB")
_BUFFER = 4096
_LONGEST_MBAP = 254
_PARITIES = {"none": "N", "even": "E", "odd": "O"}


class Listener(Protocol):
    """Who is told of what a link receives."""

    def answered(self, answer: memoryview) -> None:
        """A read's values came, in the right length, to the request that waits; valid during the call only."""
        ...

    def received(self, pdu: bytes) -> None:
        """A frame came for the request that waits; what it says is not yet checked."""
        ...

    def violated(self, violation: Violation) -> None:
        """What came answers nothing."""
        ...

    def lost(self, reason: str) -> None:
        """The connection ended; `reason` is a catalogue key."""
        ...


class Link(Protocol):
    """One open connection."""

    def send(self, request: Request) -> None:
        """Send a request; the one before it no longer waits."""
        ...

    def forget(self) -> None:
        """Let no request wait: what still comes is late."""
        ...

    def close(self) -> None:
        """End the connection; nobody is told."""
        ...


class StreamLink(asyncio.BufferedProtocol):
    """What TCP, TLS and RTU over TCP share."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._bytes = bytearray(_BUFFER)
        self._view = memoryview(self._bytes)
        self._filled = 0
        self._waiting: Request | None = None
        self._closed = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._listener.lost("modbus.connection-lost" if exc else "modbus.connection-closed")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        while not self._closed and self._filled:
            taken = self._take()
            if taken == 0:
                break
            self._filled -= taken
            if self._filled:
                self._bytes[: self._filled] = self._bytes[taken : taken + self._filled]
        if self._filled == _BUFFER and not self._closed:
            self._filled = 0
            self._listener.violated(Violation("modbus.garbage", out_of_step=True))

    def _take(self) -> int:
        """Handle the first frame; return its length, 0 while it is not whole."""
        raise NotImplementedError

    def forget(self) -> None:
        self._waiting = None

    def close(self) -> None:
        self._closed = True
        self._transport.abort()


class MbapLink(StreamLink):
    """Modbus TCP, and the same under TLS: replies carry the number of their request."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._number = 0
        self.late = 0

    def send(self, request: Request) -> None:
        self._number = (self._number + 1) & 0xFFFF
        self._waiting = request
        self._transport.write(self._number.to_bytes(2, "big") + request.mbap)

    def _take(self) -> int:
        request = self._waiting
        if request is not None and request.mbap_head is not None and self._filled >= 9:
            number, *head = _HEAD.unpack_from(self._bytes)
            length = 6 + request.mbap_head[1]
            if number == self._number and tuple(head) == request.mbap_head and self._filled >= length:
                self._waiting = None
                self._listener.answered(self._view[9:length])
                return length
        if self._filled < _MBAP.size:
            return 0
        number, protocol, length, unit = _MBAP.unpack_from(self._bytes)
        if protocol != 0 or not 2 <= length <= _LONGEST_MBAP:
            self._listener.violated(Violation("modbus.garbage", out_of_step=True))
            return self._filled
        if self._filled < 6 + length:
            return 0
        if request is None or number != self._number:
            self.late += 1
            return int(6 + length)
        self._waiting = None
        if unit != request.unit:
            self._listener.violated(Violation("modbus.wrong-unit", got=unit, wanted=request.unit))
        else:
            self._listener.received(bytes(self._view[7 : 6 + length]))
        return int(6 + length)


class RtuFrames:
    """RTU frames in a stream of bytes: one request at a time, the length from the function, the checksum last."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._waiting: Request | None = None

    def expect(self, request: Request | None) -> None:
        """Let `request` wait, or nothing."""
        self._waiting = request

    def take(self, begun: bytes) -> int:
        """Handle the first frame of `begun`; return how many bytes were used, 0 while it is not whole."""
        request = self._waiting
        if request is None:
            return len(begun)
        length = rtu.reply_length(begun)
        if length is None:
            return 0
        if length == 0:
            return self._refuse(Violation("modbus.garbage", out_of_step=True), begun)
        if len(begun) < length:
            return 0
        frame = begun[:length]
        if rtu.with_crc(frame[:-2]) != frame:
            return self._refuse(Violation("modbus.wrong-checksum", out_of_step=True), begun)
        if frame[0] != request.unit:
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

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._frames = RtuFrames(listener)

    def send(self, request: Request) -> None:
        self._filled = 0
        self._frames.expect(request)
        self._transport.write(request.rtu)

    def forget(self) -> None:
        self._frames.expect(None)

    def _take(self) -> int:
        return self._frames.take(bytes(self._view[: self._filled]))


class SerialLink:
    """A serial line: its descriptor is watched by the event loop, no thread waits."""

    def __init__(self, port: serial.Serial, listener: Listener) -> None:
        self._port = port
        self._listener = listener
        self._frames = RtuFrames(listener)
        self._begun = b""
        self._loop = asyncio.get_running_loop()
        self._descriptor: int = port.fileno()
        self._loop.add_reader(self._descriptor, self._readable)

    def send(self, request: Request) -> None:
        self._begun = b""
        self._frames.expect(request)
        try:
            self._port.reset_input_buffer()
            self._port.write(request.rtu)
        except (OSError, serial.SerialException):
            self._end()

    def forget(self) -> None:
        self._frames.expect(None)

    def close(self) -> None:
        if self._port.is_open:
            self._loop.remove_reader(self._descriptor)
            self._port.close()

    def _readable(self) -> None:
        try:
            came = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            self._end()
            return
        self._begun += came
        while self._begun and (used := self._frames.take(self._begun)):
            self._begun = self._begun[used:]

    def _end(self) -> None:
        self.close()
        self._listener.lost("modbus.connection-lost")


async def open_link(settings: LineSettings, listener: Listener, timeout_s: float) -> Link:
    """Open a connection.

    Raises:
        Silence: it cannot be opened now; its reason says why.
        ConfigError: a certificate's file cannot be used.
    """
    loop = asyncio.get_running_loop()
    if settings.serial is not None:
        return _open_serial(settings, listener)
    kind = RtuStreamLink if settings.transport == "rtu_over_tcp" else MbapLink
    context = _tls_context(settings.tls or Tls()) if settings.transport == "tls" else None
    name = (settings.tls.server_name if settings.tls else None) or settings.host
    try:
        async with asyncio.timeout(timeout_s):
            _, link = await loop.create_connection(
                lambda: kind(listener),
                settings.host,
                settings.port,
                ssl=context,
                server_hostname=name if context is not None else None,
            )
    except TimeoutError as error:
        raise Silence("modbus.connect-timeout") from error
    except ssl.SSLCertVerificationError as error:
        raise Silence("modbus.certificate-refused", {"problem": error.verify_message}) from error
    except ssl.SSLError as error:
        raise Silence("modbus.tls-failed", {"problem": error.reason or str(error)}) from error
    except ConnectionRefusedError as error:
        raise Silence("modbus.connection-refused") from error
    except OSError as error:
        raise Silence("modbus.unreachable", {"problem": error.strerror or str(error)}) from error
    return link


def _open_serial(settings: LineSettings, listener: Listener) -> Link:
    line = settings.serial
    assert line is not None
    try:
        port = serial.Serial(
            line.port,
            line.baud_rate,
            parity=_PARITIES[line.parity],
            stopbits=line.stop_bits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError) as error:
        raise Silence("modbus.serial-unusable", {"problem": str(error)}) from error
    return SerialLink(port, listener)


def _tls_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"connection.tls: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
