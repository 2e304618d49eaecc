"""Modbus: TCP, TLS, RTU over TCP and serial RTU."""

from gateway.adapter import Description
from gateway.adapters.modbus.config import TYPES, Address, Connection, check, endpoint
from gateway.adapters.modbus.room import ModbusRoom

DESCRIPTION = Description(
    name="modbus",
    family="Modbus",
    connection=Connection,
    address=Address,
    types=TYPES,
    endpoint=endpoint,
    create=ModbusRoom,
    check=check,
)
