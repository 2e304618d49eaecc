"""Connections and a protocol for the device book's tests against a real database."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.device import Device
from muster.errors import ConfigError
from muster.protocol import ProtocolInfo

Connection = AsyncConnection[TupleRow]


def validate(device: Device) -> str:
    port = device.connection.get("port")
    if type(port) is not int or not 0 < port < 65536:
        raise ConfigError("connection.port: must be 1 to 65535")
    return f"{device.connection.get('host')}:{port}/{device.connection.get('unit', 1)}"


@pytest.fixture
def protocols() -> dict[str, ProtocolInfo]:
    return {"modbus": ProtocolInfo("modbus", "Modbus", validate)}


@pytest.fixture
async def api(database) -> AsyncIterator[Connection]:  # type: ignore[no-untyped-def]
    """A connection as the API has it."""
    connection = await psycopg.AsyncConnection.connect(database.api, autocommit=True)
    yield connection
    await connection.close()


@pytest.fixture
async def owner(database) -> AsyncIterator[Connection]:  # type: ignore[no-untyped-def]
    """A connection that sees everything."""
    connection = await psycopg.AsyncConnection.connect(database.owner, autocommit=True)
    yield connection
    await connection.close()
