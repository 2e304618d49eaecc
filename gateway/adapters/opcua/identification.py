"""What a device says it is: the nameplate beneath its object (DI, Machinery), and the server's build."""

from collections.abc import Callable
from typing import Any

from asyncua import Client, ua

from gateway.adapters.opcua.config import Connection
from gateway.nameplate import origin_in

FIELDS = {
    "Manufacturer": "manufacturer",
    "Model": "model",
    "SerialNumber": "serial_number",
    "ProductInstanceUri": "product_instance_uri",
    "DeviceClass": "device_class",
}


async def identify(
    client: Client, connection: Connection, node: Callable[[str], ua.NodeId]
) -> dict[str, Any]:
    """Return the evidence that a device and its server can show; fields that are not there are left out."""
    facts: dict[str, Any] = {}
    try:
        build = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_BuildInfo)).read_value()
        facts["server"] = {
            "manufacturer": str(build.ManufacturerName or ""),
            "product_name": str(build.ProductName or ""),
            "product_uri": str(build.ProductUri or ""),
            "version": str(build.SoftwareVersion or ""),
        }
    except (ua.UaStatusCodeError, AttributeError):
        facts["server"] = {}
    if connection.root is not None:
        try:
            facts["nameplate"] = await _nameplate(client, node(connection.root))
        except ua.UaStatusCodeError as error:
            facts["nameplate_error"] = str(error)
    return facts


def origin_of(facts: dict[str, Any]) -> str | None:
    """Return simulated or replayed where a device or its server calls itself so, else nothing."""
    parts = [part for part in facts.values() if isinstance(part, dict)]
    return origin_in(value for part in parts for value in part.values())


async def _nameplate(client: Client, root: ua.NodeId) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in await client.get_node(root).get_children_descriptions():
        name = child.BrowseName.Name
        if name == "Identification":
            found.update(await _nameplate(client, child.NodeId))
        elif name in FIELDS:
            said = await client.get_node(child.NodeId).read_value()
            found[FIELDS[name]] = str(said.Text if isinstance(said, ua.LocalizedText) else said or "")
    return found
