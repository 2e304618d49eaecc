"""OPC UA: sessions, subscriptions and fresh reads."""

from gateway.adapter import Description
from gateway.adapters.opcua.config import TYPES, Address, Connection, check, endpoint
from gateway.adapters.opcua.room import OpcuaRoom

DESCRIPTION = Description(
    name="opcua",
    family="OPC UA",
    connection=Connection,
    address=Address,
    types=TYPES,
    endpoint=endpoint,
    create=OpcuaRoom,
    check=check,
)
