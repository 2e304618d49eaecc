"""What every process shows of itself over HTTP: `/healthz` and `/metrics`, on loopback.

A check returns None when all is well and otherwise a sentence that says what is not. The answer is 200 when
every check is well and 503 when not, as one JSON object either way.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from muster import __version__
from muster.errors import ConfigError

Check = Callable[[], str | None]
_LONGEST_REQUEST = 8192


def health(checks: Mapping[str, Check]) -> tuple[bool, dict[str, object]]:
    """Return whether all checks are well, and the object that says so."""
    found = {name: check() for name, check in checks.items()}
    well = all(word is None for word in found.values())
    return well, {
        "status": "ok" if well else "failing",
        "version": __version__,
        "checks": {name: word or "ok" for name, word in found.items()},
    }


@asynccontextmanager
async def monitor(
    port: int | None, checks: Mapping[str, Check], host: str = "127.0.0.1"
) -> AsyncIterator[None]:
    """Serve health and metrics while the block runs; nothing is served when `port` is None.

    Raises:
        ConfigError: the port is taken.
    """
    if port is None:
        yield
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.write(_respond(request.split(b" ", 2), checks))
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(serve, host, port, limit=_LONGEST_REQUEST)
    except OSError as error:
        raise ConfigError(f"monitor_port {port}: {error.strerror}") from error
    async with server:
        yield


def _respond(request: list[bytes], checks: Mapping[str, Check]) -> bytes:
    if len(request) < 2 or request[0] != b"GET":
        return _answer("405 Method Not Allowed", "text/plain", b"")
    match request[1]:
        case b"/healthz":
            well, words = health(checks)
            status = "200 OK" if well else "503 Service Unavailable"
            return _answer(status, "application/json", msgspec.json.encode(words))
        case b"/metrics":
            return _answer("200 OK", CONTENT_TYPE_LATEST, generate_latest())
        case _:
            return _answer("404 Not Found", "text/plain", b"")


def _answer(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
