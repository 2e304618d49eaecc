"""MQTT 3.1.1 and 5: devices that publish JSON, through any broker."""

from gateway.adapter import Description
from gateway.adapters.mqtt.config import Address, Connection, check, endpoint
from gateway.adapters.mqtt.room import MqttRoom
from gateway.adapters.mqtt.values import TYPES

DESCRIPTION = Description(
    name="mqtt",
    family="MQTT",
    connection=Connection,
    address=Address,
    types=TYPES,
    endpoint=endpoint,
    create=MqttRoom,
    check=check,
)
