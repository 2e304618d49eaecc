"""One browser's connection: as uvicorn's, but cut when its other end takes nothing for a while.

Whoever writes to it already waits when its buffer is full. Without an end to that, a client that never reads keeps its
place, its buffers and what it was being told for as long as its machine lives.
"""

import asyncio
import socket
import struct

import structlog
from prometheus_client import Counter
from uvicorn.protocols.http.h11_impl import H11Protocol

_log = structlog.get_logger()
_CUT = Counter("muster_http_cut_total", "Connections cut because their other end took nothing.")
PATIENCE_S = 30.0


class Connection(H11Protocol):
    """An HTTP/1.1 connection that does not wait for ever."""

    _impatience: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The buffer is full: the other end has until `PATIENCE_S` to take some of it."""
        super().pause_writing()
        self._impatience = self.loop.call_later(PATIENCE_S, self._cut)

    def resume_writing(self) -> None:
        """The other end took enough."""
        super().resume_writing()
        self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_no_more(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _cut(self) -> None:
        _CUT.inc()
        _log.warning("connection-cut", client=self.client, seconds=PATIENCE_S)
        # the kernel, too, forgets what was never taken
        connected = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
