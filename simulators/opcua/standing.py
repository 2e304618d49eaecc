"""The beginning and the end of every simulated OPC UA server, whatever it shows."""

from datetime import UTC, datetime

from asyncua import Server

from muster import __version__
from simulators.opcua.nodes import LightServer

_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


async def prepared(endpoint: str, uri: str, product_uri: str, name: str) -> Server:
    """Return a server with the standard's nodes that says what it is, and does not listen yet."""
    server = Server(iserver=LightServer())
    await server.init()
    server.set_endpoint(endpoint)
    server.set_server_name(name)
    await server.set_application_uri(uri)
    await server.set_build_info(product_uri, name, name, __version__, "0", _BUILT)
    return server


async def ended(server: Server) -> None:
    """Close a server and its sessions, which would outlive it."""
    for session in list(server.iserver._external_sessions.values()):
        await session.close_session(delete_subs=True)
    await server.stop()
