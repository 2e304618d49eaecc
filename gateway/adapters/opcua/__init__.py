"""OPC UA: sessions, subscriptions, fresh reads, browsing."""

from gateway.adapter import Description, Room, Sink, Workplace
from gateway.adapters.opcua.config import TYPES, Address, Connection, check, endpoint
from muster.clock import Clock


def _create(sink: Sink, clock: Clock, workplace: Workplace) -> Room:
    """Make the room; its library is loaded here, not where only the description is needed."""
    from gateway.adapters.opcua.room import OpcuaRoom

    return OpcuaRoom(sink, clock, workplace)


DESCRIPTION = Description(
    name="opcua",
    family="OPC UA",
    connection=Connection,
    address=Address,
    types=TYPES,
    endpoint=endpoint,
    create=_create,
    check=check,
)
