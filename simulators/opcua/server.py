"""An area's OPC UA server: the machines' objects, one source time for all values of a machine in one step.

It takes the place of a Modbus endpoint in the fleet and has the same faults, as far as they have a meaning here. With
a certificate it accepts only signed and encrypted sessions, whoever the client is.
"""

import asyncio
import copy
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from muster.clock import Clock, to_datetime
from muster.errors import Unavailable
from simulators.equipment import Equipment, Place
from simulators.faults import Fault, FaultKind
from simulators.machines.machine import Machine
from simulators.opcua import certificate
from simulators.opcua.front import Front
from simulators.opcua.objects import NAMESPACE, add, variant
from simulators.opcua.standing import ended, prepared

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
        FaultKind.SILENT,
        FaultKind.KEEPALIVE_SILENT,
    }
)
_SHIFTS = {FaultKind.CLOCK_AHEAD: timedelta(hours=1), FaultKind.CLOCK_BEHIND: timedelta(hours=-1)}
_FAILED = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadDeviceFailure))
_STATUS = ua.NodeId(ua.ObjectIds.Server_ServerStatus)
_CURRENT_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_BEHIND = "127.0.0.1"


class OpcuaServer(Equipment):
    """One server and its machines, by their place on the endpoint."""

    def __init__(
        self,
        number: int,
        host: str,
        port: int,
        machines: Mapping[Place, Machine],
        clock: Clock,
        certificates: Path | None = None,
    ) -> None:
        """certificates: where it keeps its own, if it accepts encrypted sessions only."""
        super().__init__(number, port)
        self.host = host
        self.kinds = KINDS if certificates is None else KINDS | {FaultKind.CERTIFICATE_EXPIRED}
        self._machines = machines
        self._clock = clock
        self._certificates = certificates
        self._expired = False
        self._server: Server | None = None
        self._front = Front(host, port)
        self._nodes: dict[str, dict[str, ua.NodeId]] = {}
        self._shown: dict[str, dict[str, float | bool]] = {}
        self._held_back: dict[int, Any] = {}

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._front.connections

    @property
    def listening(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    async def open(self) -> None:
        """Build the address space and listen. Raises Unavailable when the port is taken."""
        if self._server is not None:
            return
        endpoint = f"opc.tcp://{self.host}:{self.port}"
        server = await prepared(endpoint, certificate.uri(self.number), NAMESPACE, "Muster Simulator")
        server.socket_address = (_BEHIND, 0)
        server.disable_clock()
        await self._protect(server)
        index = await server.register_namespace(NAMESPACE)
        for machine in self._machines.values():
            self._nodes[machine.code] = await add(server, index, machine, self._called)
        self._shown.clear()
        self._held_back.clear()
        await server.start()
        assert server.bserver is not None
        try:
            await self._front.open(server.bserver.port)
        except OSError as error:
            await server.stop()
            raise Unavailable(f"{self.host}:{self.port}: {error.strerror or error}") from error
        await self._show_time(server)
        self._server = server
        await self.publish()

    async def close(self) -> None:
        """Close every session and the port."""
        server, self._server = self._server, None
        if server is not None:
            await self._front.close()
            await ended(server)

    async def _suffer(self, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        before, self._expired = self._expired, kind is FaultKind.CERTIFICATE_EXPIRED
        self._front.be_silent(kind is FaultKind.SILENT)
        if kind in (FaultKind.RESTART, FaultKind.REFUSE) or self._expired != before:
            await self.close()
        if kind is not FaultKind.REFUSE:
            await self.open()
        match kind:
            case FaultKind.SUBSCRIPTION_LOST:
                await self._forget_subscriptions()
            case FaultKind.DROP:
                self._front.cut()
            case _:
                self._hold_back()

    async def publish(self) -> None:
        """Show what every machine measures now, and let it follow what clients have written."""
        server = self._server
        if server is None:
            return
        self._hold_back()
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
                ua.Variant(value, variant(value)), SourceTimestamp=moment, ServerTimestamp=self._now()
            )
            if failed:
                data = ua.DataValue(StatusCode=_FAILED, SourceTimestamp=moment, ServerTimestamp=self._now())
                del shown[point.name]
            await server.write_attribute_value(nodes[point.name], data)

    def _called(self) -> None:
        self.requests += 1

    def _now(self) -> datetime:
        """Return the server's time, which a fault of the whole server may have shifted."""
        shift = timedelta() if self.fault is None else _SHIFTS.get(self.fault.kind, timedelta())
        return to_datetime(self._clock.now_us()) + shift

    async def _show_time(self, server: Server) -> None:
        """Let the server tell its time at the moment of each question."""
        status = await server.get_node(_STATUS).read_value()

        def time(*_: object) -> ua.DataValue:
            now = self._now()
            return ua.DataValue(
                ua.Variant(now, ua.VariantType.DateTime), SourceTimestamp=now, ServerTimestamp=now
            )

        def whole(*_: object) -> ua.DataValue:
            now, told = self._now(), copy.copy(status)
            told.CurrentTime = now
            return ua.DataValue(ua.Variant(told), SourceTimestamp=now, ServerTimestamp=now)

        space = server.iserver.aspace
        space.set_attribute_value_callback(_CURRENT_TIME, ua.AttributeIds.Value, time)
        space.set_attribute_value_callback(_STATUS, ua.AttributeIds.Value, whole)

    async def _protect(self, server: Server) -> None:
        if self._certificates is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            return
        if self._expired:
            der, key = await asyncio.to_thread(certificate.make, self.number, self.host, 0)
        else:
            der, key = (path.read_bytes() for path in certificate.files(self._certificates, self.number))
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(der, "der")
        await server.load_private_key(key, format="pem")

    def _hold_back(self) -> None:
        """Let subscriptions say nothing, not even that they are alive, while that is the fault."""
        if self._server is None:
            return
        silent = self.fault is not None and self.fault.kind is FaultKind.KEEPALIVE_SILENT
        for number, subscription in self._server.iserver.subscription_service.subscriptions.items():
            if silent and number not in self._held_back:
                self._held_back[number] = subscription.pub_request_callback
                subscription.pub_request_callback = _no_request
            elif not silent and number in self._held_back:
                subscription.pub_request_callback = self._held_back.pop(number)

    async def _forget_subscriptions(self) -> None:
        if self._server is not None:
            service = self._server.iserver.subscription_service
            await service.delete_subscriptions(list(service.subscriptions))


def _no_request(_: int) -> None:
    """Say that no request waits which a subscription could answer."""
