"""An area's OPC UA server: an object for each machine, with its identification and a variable for each point.

    nsu=urn:muster:simulator;s=<device>            the machine
    nsu=urn:muster:simulator;s=<device>.<point>    a point, in engineering units

All values of a machine in one step bear one source time. It takes the place of a Modbus endpoint in the fleet and has
the same faults, as far as they have a meaning here.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Server, ua

from muster import __version__
from muster.clock import Clock, to_datetime
from muster.errors import Unavailable
from simulators.equipment import Equipment, Place
from simulators.faults import Fault, FaultKind
from simulators.machines.machine import Machine

NAMESPACE = "urn:muster:simulator"
KINDS = frozenset(
    {
        FaultKind.DROP,
        FaultKind.REFUSE,
        FaultKind.FREEZE,
        FaultKind.EXCEPTION,
        FaultKind.CLOCK_AHEAD,
        FaultKind.CLOCK_BEHIND,
        FaultKind.SUBSCRIPTION_LOST,
        FaultKind.RESTART,
    }
)
_SHIFTS = {FaultKind.CLOCK_AHEAD: timedelta(hours=1), FaultKind.CLOCK_BEHIND: timedelta(hours=-1)}
_FAILED = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadDeviceFailure))


def node(device: str, point: str | None = None) -> str:
    """Return the node id of a machine or of one of its points, its namespace by name."""
    return f"nsu={NAMESPACE};s={device}" + (f".{point}" if point else "")


class OpcuaServer(Equipment):
    """One server and its machines, by their place on the endpoint."""

    kinds = KINDS

    def __init__(
        self, number: int, host: str, port: int, machines: Mapping[Place, Machine], clock: Clock
    ) -> None:
        super().__init__(number, port)
        self.host = host
        self._machines = machines
        self._clock = clock
        self._server: Server | None = None
        self._nodes: dict[str, dict[str, ua.NodeId]] = {}
        self._shown: dict[str, dict[str, float | bool]] = {}

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        server = self._server
        return 0 if server is None or server.bserver is None else len(server.bserver.clients)

    @property
    def listening(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    async def open(self) -> None:
        """Build the address space and listen. Raises Unavailable when the port is taken."""
        if self._server is not None:
            return
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://{self.host}:{self.port}")
        server.set_server_name("Muster Simulator")
        await server.set_application_uri(f"{NAMESPACE}:{self.number}")
        await server.set_build_info(
            NAMESPACE,
            "Muster Simulator",
            "Muster Simulator",
            __version__,
            "0",
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        for machine in self._machines.values():
            self._nodes[machine.code] = await _add(server, index, machine)
        self._shown.clear()
        try:
            await server.start()
        except OSError as error:
            raise Unavailable(f"{self.host}:{self.port}: {error.strerror or error}") from error
        self._server = server
        await self.publish()

    async def close(self) -> None:
        """Close every session and the port."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    async def _suffer(self, fault: Fault | None) -> None:
        match None if fault is None else fault.kind:
            case FaultKind.REFUSE:
                await self.close()
            case FaultKind.RESTART:
                await self.close()
                await self.open()
            case FaultKind.SUBSCRIPTION_LOST:
                await self._forget_subscriptions()
            case FaultKind.DROP:
                self._drop()
            case _:
                await self.open()

    async def publish(self) -> None:
        """Show what every machine measures now, and let it follow what clients have written."""
        server = self._server
        if server is None:
            return
        now = to_datetime(self._clock.now_us())
        for place, machine in self._machines.items():
            fault = self.fault_at(place)
            kind = None if fault is None else fault.kind
            moment = now + _SHIFTS.get(kind, timedelta()) if kind is not None else now
            await self._show(server, machine, moment, failed=kind is FaultKind.EXCEPTION)
            await asyncio.sleep(0)

    async def _show(self, server: Server, machine: Machine, moment: datetime, *, failed: bool) -> None:
        shown = self._shown.setdefault(machine.code, {})
        nodes = self._nodes[machine.code]
        for point in machine.kind.settings:
            held = server.iserver.aspace.read_attribute_value(nodes[point.name], ua.AttributeIds.Value)
            written = None if held.Value is None else held.Value.Value
            if point.name in shown and isinstance(written, (int, float)) and written != shown[point.name]:
                self.requests += 1
                machine.set(point, float(written))
        for point in machine.kind.points:
            value = machine.value(point)
            if not failed and shown.get(point.name) == value:
                continue
            shown[point.name] = value
            data = ua.DataValue(
                ua.Variant(value, _variant(value)), SourceTimestamp=moment, ServerTimestamp=moment
            )
            if failed:
                data = ua.DataValue(StatusCode=_FAILED, SourceTimestamp=moment, ServerTimestamp=moment)
                del shown[point.name]
            await server.write_attribute_value(nodes[point.name], data)

    async def _forget_subscriptions(self) -> None:
        if self._server is not None:
            service = self._server.iserver.subscription_service
            await service.delete_subscriptions(list(service.subscriptions))

    def _drop(self) -> None:
        if self._server is not None and self._server.bserver is not None:
            for client in list(self._server.bserver.clients):
                if client.transport is not None:
                    client.transport.abort()


async def _add(server: Server, index: int, machine: Machine) -> dict[str, ua.NodeId]:
    """Add a machine and return the node ids of its points, by name."""
    holder = await server.nodes.objects.add_object(ua.NodeId(machine.code, index), f"{index}:{machine.code}")
    said = await holder.add_object(
        ua.NodeId(f"{machine.code}.Identification", index), f"{index}:Identification"
    )
    identity = machine.identity
    for name, text in {
        "Manufacturer": identity.vendor,
        "Model": identity.model_name,
        "SerialNumber": identity.serial_number,
        "ProductInstanceUri": f"{NAMESPACE}:{identity.serial_number}",
    }.items():
        await said.add_property(
            ua.NodeId(f"{machine.code}.Identification.{name}", index), f"{index}:{name}", text
        )
    found: dict[str, ua.NodeId] = {}
    for point in machine.kind.points:
        value: Any = machine.value(point)
        variable = await holder.add_variable(
            ua.NodeId(f"{machine.code}.{point.name}", index), f"{index}:{point.name}", value, _variant(value)
        )
        if point.writable:
            await variable.set_writable()
        found[point.name] = variable.nodeid
    return found


def _variant(value: float | bool) -> ua.VariantType:
    return ua.VariantType.Boolean if isinstance(value, bool) else ua.VariantType.Double
