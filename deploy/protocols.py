"""What the device book, the counting and the API are told of the protocols: made from the gateway's rooms."""

from gateway.adapter import Description, protocols
from gateway.checks import validated
from muster.device import Device, Tag
from muster.errors import ConfigError
from muster.protocol import ProtocolInfo


def protocol_infos() -> dict[str, ProtocolInfo]:
    """Return every protocol of this installation, by name."""
    return {name: _info(description) for name, description in protocols().items()}


def _info(description: Description) -> ProtocolInfo:
    def validate(device: Device) -> str:
        connection = validated(description.connection, device.connection, "connection")
        for tag in device.tags:
            _check_tag(description, tag)
        if description.check is not None:
            description.check(device)
        return description.endpoint(connection)

    return ProtocolInfo(description.name, description.family, validate, description.report_mode)


def _check_tag(description: Description, tag: Tag) -> None:
    if tag.type not in description.types:
        known = ", ".join(sorted(description.types))
        raise ConfigError(f"tags.{tag.name}.type: {tag.type!r} is not one of {known}")
    validated(description.address, tag.address, f"tags.{tag.name}.address")
