"""A recording behind an OPC UA server: one object with a Double for each column, all of a row with one source time.

nsu=urn:muster:replay;s=replay            the device
nsu=urn:muster:replay;s=replay.<column>   a column; a cell without a number is NaN
"""

from typing import Any

from asyncua import Server, ua

from muster.clock import Clock, to_datetime
from muster.errors import Unavailable
from simulators.opcua.objects import add_nameplate
from simulators.opcua.standing import ended, prepared
from simulators.replays.player import ROW, Player, identity
from simulators.replays.recording import Recording

_NAMESPACE = "urn:muster:replay"
_DEVICE = "replay"


class OpcuaPlayer(Player):
    """Serves a recording without encryption, on one port."""

    protocol, report_mode = "opcua", "on_change"

    def __init__(self, recording: Recording, host: str, port: int, clock: Clock) -> None:
        super().__init__(recording)
        self._url = f"opc.tcp://{host}:{port}"
        self._clock = clock
        self._server: Server | None = None
        self._nodes: list[ua.NodeId] = []

    async def open(self) -> None:
        """Build the address space and listen, the first row shown. Raises Unavailable when the port is taken."""
        server = await prepared(self._url, _NAMESPACE, _NAMESPACE, "Muster Replay")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(_NAMESPACE)
        holder = await server.nodes.objects.add_object(ua.NodeId(_DEVICE, index), f"{index}:{_DEVICE}")
        await add_nameplate(holder, index, _DEVICE, identity(self.recording))
        for name in (ROW, *self.recording.columns):
            variable = await holder.add_variable(
                ua.NodeId(f"{_DEVICE}.{name}", index), f"{index}:{name}", 0.0, ua.VariantType.Double
            )
            self._nodes.append(variable.nodeid)
        self._server = server
        await self.show(0)
        try:
            await server.start()
        except OSError as error:
            raise Unavailable(f"{self._url}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Close every session and the port."""
        server, self._server = self._server, None
        if server is not None:
            await ended(server)

    async def show(self, row: int) -> None:
        """Let the variables hold this row."""
        if self._server is None:
            return
        now = to_datetime(self._clock.now_us())
        cells = [float(row + 1), *self.recording.rows[row].tolist()]
        for node, value in zip(self._nodes, cells, strict=True):
            data = ua.DataValue(
                ua.Variant(value, ua.VariantType.Double), SourceTimestamp=now, ServerTimestamp=now
            )
            await self._server.write_attribute_value(node, data)

    def connection(self) -> dict[str, Any]:
        """Return the server's address; it has no protection, and that is said."""
        security = {"policy": "None", "mode": "none"}
        return {"url": self._url, "security": security, "root": f"nsu={_NAMESPACE};s={_DEVICE}"}

    def tag(self, name: str, at: int) -> dict[str, Any]:
        """Return the node of a column."""
        return {"type": "float64", "address": {"node": f"{{root}}.{name}"}}
