"""The port that clients see: it passes bytes to the server behind it, or lets them lie, or cuts everybody off."""

import asyncio

_CHUNK = 65_536


class Front:
    """One listening port before a server that listens on loopback only."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._behind = 0
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._passing = asyncio.Event()
        self._passing.set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._lines)

    async def open(self, behind: int) -> None:
        """Listen, for the server at port `behind`. Raises OSError when the port is taken."""
        self._behind = behind
        self._server = await asyncio.start_server(self._line, self._host, self._port)

    async def close(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.cut()
        while self._lines:
            await asyncio.wait(list(self._lines))

    def cut(self) -> None:
        """End every connection without a word."""
        for task, writer in self._lines.items():
            writer.transport.abort()
            task.cancel()

    def be_silent(self, silent: bool) -> None:
        """Let whatever comes lie, in both directions, or pass it on; connections are accepted all the same."""
        if silent:
            self._passing.clear()
        else:
            self._passing.set()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._host, self._behind)
            try:
                there = asyncio.create_task(self._pass(reader, inner_writer))
                back = asyncio.create_task(self._pass(inner_reader, writer))
                try:
                    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    there.cancel()
                    back.cancel()
                    await asyncio.wait({there, back})
            finally:
                inner_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the server behind has gone, or the line was cut
        finally:
            writer.close()
            del self._lines[task]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until one side has gone."""
        try:
            while data := await reader.read(_CHUNK):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return
