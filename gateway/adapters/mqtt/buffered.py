"""A connection's socket: reads are taken from chunks, and what is written in one turn goes with one system call."""

import socket
import ssl

CHUNK_BYTES = 1 << 16


class Buffered:
    """A socket whose reads are taken from chunks and whose writes are collected, once it does not block any more."""

    def __init__(self, raw: socket.socket) -> None:
        self.blocked = False
        self._raw = raw
        self._blocking = True
        self._in = memoryview(b"")
        self._out = bytearray()

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""
        return len(self._out)

    def recv(self, buffer_size: int) -> bytes:
        """Return at most `buffer_size` bytes; raises BlockingIOError, and notes it, when there are none now."""
        if self._blocking:
            return self._raw.recv(buffer_size)
        if not self._in:
            try:
                chunk = self._raw.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError) as error:
                self.blocked = True
                raise BlockingIOError from error
            if buffer_size >= CHUNK_BYTES:
                return chunk
            self._in = memoryview(chunk)
        taken = bytes(self._in[:buffer_size])
        self._in = self._in[buffer_size:]
        return taken

    def send(self, buffer: bytes | bytearray) -> int:
        """Take bytes, all of them, to be sent with the next `flush`."""
        if self._blocking:
            self._raw.sendall(buffer)
        else:
            self._out += buffer
        return len(buffer)

    def flush(self) -> bool:
        """Send what was taken; return whether all of it went. Raises OSError when the connection is gone."""
        while self._out:
            try:
                sent = self._raw.send(self._out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            del self._out[:sent]
        return True

    def setblocking(self, flag: bool) -> None:
        """Change between the handshake, which blocks its thread, and the work in the event loop."""
        self._raw.setblocking(flag)
        self._blocking = flag

    def settimeout(self, timeout_s: float) -> None:
        """Limit how long the handshake waits."""
        self._raw.settimeout(timeout_s)

    def pending(self) -> int:
        """Return how many bytes wait here."""
        return len(self._in)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._raw.close()
