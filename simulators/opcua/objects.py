"""A machine in an address space: its object, its identification, a variable for each point, methods to start and stop.

nsu=urn:muster:simulator;s=<device>                  the machine
nsu=urn:muster:simulator;s=<device>.<point>          a point, in engineering units
nsu=urn:muster:simulator;s=<device>.Start, .Stop     methods without arguments, where the machine can be started
"""

from collections.abc import Callable

from asyncua import Node, Server, ua

from simulators.machines.machine import Machine
from simulators.modbus.identity import Identity

NAMESPACE = "urn:muster:simulator"
_START = "start"


def node(device: str, point: str | None = None) -> str:
    """Return the node id of a machine or of one of its points, its namespace by name."""
    return f"nsu={NAMESPACE};s={device}" + (f".{point}" if point else "")


async def add(
    server: Server, index: int, machine: Machine, called: Callable[[], None]
) -> dict[str, ua.NodeId]:
    """Add a machine; return the node ids of its points, by name. called: told of each call of a method."""
    holder = await server.nodes.objects.add_object(ua.NodeId(machine.code, index), f"{index}:{machine.code}")
    said = await holder.add_object(
        ua.NodeId(f"{machine.code}.Identification", index), f"{index}:Identification"
    )
    where = f"{machine.code}.Identification"
    await add_nameplate(said, index, where, machine.identity)
    product = f"{NAMESPACE}:{machine.identity.serial_number}"
    await said.add_property(
        ua.NodeId(f"{where}.ProductInstanceUri", index), f"{index}:ProductInstanceUri", product
    )
    found: dict[str, ua.NodeId] = {}
    for point in machine.kind.points:
        value = machine.value(point)
        variable = await holder.add_variable(
            ua.NodeId(f"{machine.code}.{point.name}", index), f"{index}:{point.name}", value, variant(value)
        )
        if point.writable:
            await variable.set_writable()
        found[point.name] = variable.nodeid
    start = next((point for point in machine.kind.settings if point.name == _START), None)
    if start is not None:
        for name, value in (("Start", 1.0), ("Stop", 0.0)):

            async def obey(_: ua.NodeId, value: float = value) -> list[ua.Variant]:
                machine.set(start, value)
                called()
                return []

            await holder.add_method(
                ua.NodeId(f"{machine.code}.{name}", index), f"{index}:{name}", obey, [], []
            )
    return found


async def add_nameplate(holder: Node, index: int, where: str, identity: Identity) -> None:
    """Add what a device says that it is, as properties of `holder`, whose node id is `where`."""
    for name, text in {
        "Manufacturer": identity.vendor,
        "Model": identity.model_name,
        "SerialNumber": identity.serial_number,
    }.items():
        await holder.add_property(ua.NodeId(f"{where}.{name}", index), f"{index}:{name}", text)


def variant(value: float | bool) -> ua.VariantType:
    """Return the type in which a value is shown."""
    return ua.VariantType.Boolean if isinstance(value, bool) else ua.VariantType.Double
