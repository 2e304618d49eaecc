"""A protocol for the device book's tests: strict in the way rooms are, without any room."""

import pytest

from muster.device import Device
from muster.errors import ConfigError
from muster.protocol import ProtocolInfo


def validate(device: Device) -> str:
    unknown = sorted(set(device.connection) - {"transport", "host", "port", "unit", "window"})
    if unknown:
        raise ConfigError(f"connection.{unknown[0]}: unknown")
    port = device.connection.get("port")
    if type(port) is not int or not 0 < port < 65536:
        raise ConfigError("connection.port: must be 1 to 65535")
    for tag in device.tags:
        if tag.type not in ("uint16", "float32"):
            raise ConfigError(f"tags[{tag.name}].type: {tag.type} is unknown")
        window = device.connection.get("window")
        if window and tag.address["register"] >= window["length"]:
            raise ConfigError(f"tags[{tag.name}].address.register: ends beyond the device's window")
    return f"{device.connection.get('host')}:{port}/{device.connection.get('unit', 1)}"


@pytest.fixture
def protocols() -> dict[str, ProtocolInfo]:
    return {"modbus": ProtocolInfo("modbus", "Modbus", validate)}
