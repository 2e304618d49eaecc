"""The Sparkplug room: one host application for each broker, and the edge nodes and devices that it hears."""

from collections.abc import Mapping
from typing import Any

from gateway.adapter import Found, Sink, Value, Workplace
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings
from gateway.adapters.mqtt.house import BrokerRoom, may_have_been_held
from gateway.adapters.sparkplug import commands
from gateway.adapters.sparkplug.config import understand
from gateway.adapters.sparkplug.discovery import Ear, group_of, things_of
from gateway.adapters.sparkplug.hub import Hub, rebirth
from gateway.adapters.sparkplug.rebirths import RebirthLimit
from gateway.adapters.sparkplug.station import Station
from gateway.adapters.sparkplug.topics import NAMESPACE, Node
from gateway.checks import validated
from muster.clock import Clock
from muster.device import Device
from muster.errors import ConfigError, Unavailable

_BIRTH_S = 5.0


class SparkplugRoom(BrokerRoom[Hub, Station]):
    """Hears edge nodes and their devices."""

    def __init__(self, sink: Sink, clock: Clock, workplace: Workplace) -> None:
        super().__init__(sink, clock, workplace)
        self._limit = RebirthLimit()

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag by a command and return what reads back."""
        hub, station = self._roster.of(device)
        return await commands.write(hub, station, position, value, self._clock)

    async def browse(self, device: int, search: str) -> list[Found]:
        """Tell what the device's last birth held; a rebirth is asked for when there was none."""
        hub, station = self._roster.of(device)
        await hub.births(station, _BIRTH_S)
        connection = station.understood.connection
        group = group_of(connection.group, connection.edge_node, connection.device)
        found = things_of(group, station.metrics, station.device.interval_s)
        return [one for one in found if search.casefold() in one.path.casefold()]

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Listen to all edge nodes, or to `connection.group` and `connection.edge_node`.

        An edge node that is named is asked for its births, within the limit; others are only listened to.
        """
        settings = validated(BrokerSettings, connection.get("broker"), "connection.broker")
        named = {key: connection.get(key) for key in ("group", "edge_node")}
        for key, name in named.items():
            if name is not None and (not isinstance(name, str) or not name or set(name) & set("/+#\0")):
                raise ConfigError(f"connection.{key}: {name!r} is no name")
        group, edge_node = named["group"], named["edge_node"]
        ear = Ear()

        def ask(session: BrokerSession) -> None:
            if group is not None and edge_node is not None:
                node = Node(group, edge_node)
                if self._limit.take((settings.text, node), self._clock.monotonic()):
                    session.publish(node.command(None), rebirth(self._clock.now_us()))

        where = (
            f"{NAMESPACE}/{group or '+'}/+/{edge_node or '+'}/#" if group or edge_node else f"{NAMESPACE}/#"
        )
        problem = await self._listen(settings, where, wait_s, ear.hear, ask)
        found = ear.found(search)
        if problem and not found:
            raise Unavailable(problem)
        return found

    def _add(self, device: Device) -> tuple[Hub, Station]:
        understood = understand(device)
        settings = understood.connection.broker
        host_id = understood.connection.host_id or f"muster-{self._workplace.name}"
        hub = self._hub(
            (settings, host_id),
            lambda: Hub(
                settings,
                host_id,
                self._workplace,
                self._sink,
                self._clock,
                self._limit,
                fresh=may_have_been_held(device),
            ),
        )
        station = Station(device, understood, self._sink)
        hub.add(station)
        return hub, station
