"""The API process: serves the application until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping

import structlog
import uvicorn

from api.application import create_app
from api.connection import Connection
from api.settings import Settings
from muster.errors import ConfigError, Unavailable
from muster.protocol import ProtocolInfo
from store.connection import connect

_log = structlog.get_logger()
_GRACE_S = 3
_SEND_BUFFER_BYTES = 128 * 1024


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the launcher's process owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings, stop: asyncio.Event, protocols: Mapping[str, ProtocolInfo]) -> None:
    """Serve until `stop` is set; wait for the database as long as it is away.

    Raises:
        ConfigError: the address is taken, or the database refuses us for good.
    """
    listening = _listen(settings)
    with contextlib.closing(listening):
        if not await _database_answers(settings, stop):
            return
        app = create_app(settings, protocols)
        server = _Server(
            uvicorn.Config(
                app,
                http=Connection,
                log_config=None,
                access_log=False,
                lifespan="on",
                loop="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_S,
                timeout_keep_alive=30,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve([listening]), name="http")
            stopping = tasks.create_task(stop.wait(), name="stop")
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            if server.started:
                app.state.muster.hub.close()
            stopping.cancel()
        if not stop.is_set():
            raise Unavailable("api: the server ended; its log says why")


def _listen(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=512)
        # what the kernel keeps of one connection, which takes it over from here; it would grow to megabytes
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return listening
    except OSError as error:
        raise ConfigError(f"host, port: {settings.host}:{settings.port}: {error.strerror}") from error


async def _database_answers(settings: Settings, stop: asyncio.Event) -> bool:
    """Return True once the database answers, False when told to stop first."""
    while not stop.is_set():
        try:
            await (await connect(settings.database, "api")).close()
            return True
        except Unavailable as error:
            _log.warning("database-away", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    return False
