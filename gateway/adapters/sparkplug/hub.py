"""One host application at one broker: its session, its STATE, the edge nodes it hears and their devices."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway.adapter import Sink, Workplace
from gateway.adapters.mqtt.broker import BrokerSession, BrokerSettings, Message
from gateway.adapters.sparkplug.crew import Crew
from gateway.adapters.sparkplug.host import EdgeNode
from gateway.adapters.sparkplug.outcomes import Trouble
from gateway.adapters.sparkplug.rebirths import REBIRTH, RebirthLimit
from gateway.adapters.sparkplug.station import Station
from gateway.adapters.sparkplug.topics import Node, Topic, parse, state_topic
from muster.clock import Clock
from muster.errors import Rejected, Unavailable
from muster.sparkplug import DataType, Metric, Numbers, Payload, Reader, decode, encode

_SETTLE_S = 0.02
_TICK_S = 0.2
_MANY_NODES = 20
_REBIRTHS_A_TICK = 4
"""Births come all at once when they are asked for at once: at most 20 a second are."""
_PATIENCE_S = 1.0
"""How long births may come by themselves once the broker is there: nodes that watch our STATE send them."""
_MOST_BYTES = 8 << 20
_ROADS_KEPT = 16_384
_REPEATED = frozenset({"NDATA", "DDATA"})


class _Road:
    """A topic of a watched node: what it says, whom it concerns, and what reads its payloads."""

    __slots__ = ("crew", "edge", "read", "topic")

    def __init__(self, topic: Topic, edge: EdgeNode, crew: Crew) -> None:
        self.topic, self.edge, self.crew = topic, edge, crew
        self.read: Callable[[bytes], Payload | Numbers] = Reader().read if topic.kind in _REPEATED else decode


class Hub:
    """A host application. All calls belong to the event loop."""

    def __init__(
        self,
        settings: BrokerSettings,
        host_id: str,
        workplace: Workplace,
        sink: Sink,
        clock: Clock,
        limit: RebirthLimit,
        *,
        fresh: bool,
    ) -> None:
        self.stations: dict[int, Station] = {}
        self.nodes: dict[Node, EdgeNode] = {}
        self._of: dict[Node, Crew] = {}
        self._roads: dict[str, _Road] = {}
        """Topics of watched nodes, what they say and whom they concern."""
        self._qos: dict[Node, int] = {}
        self._groups: Counter[str] = Counter()
        self._deaf: set[Node] = set()
        """Nodes whose topics the broker refuses: nothing is published to them, for that may cost the connection."""
        self._clock, self._limit = clock, limit
        self._state = state_topic(host_id)
        self._since_ms = clock.now_us() // 1000
        self._away_since: int | None = None
        self._reason: tuple[str, dict[str, Any]] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._ticking: asyncio.TimerHandle | None = None
        mark = hashlib.sha256(host_id.encode()).hexdigest()[:8]  # two hosts at one broker are two clients
        own = Workplace(workplace.gateway, workplace.name, workplace.folder / f"sparkplug-{mark}")
        self.session = BrokerSession(
            settings, own, sink, clock, self._message, self._up, self._down, self._will(), fresh=fresh
        )
        self.session.on_refused = self._refused

    # Devices.

    @property
    def empty(self) -> bool:
        """Whether no device is left."""
        return not self.stations

    def add(self, station: Station) -> None:
        """Hear a device."""
        connection = station.understood.connection
        node = connection.node
        self.stations[station.device.number] = station
        self._of.setdefault(node, Crew()).add(station)
        edge = self.nodes.get(node)
        if edge is None:
            self._groups[node.group] += 1
            edge = self.nodes[node] = EdgeNode((self.session.settings.text, node), self._limit)
            if self.session.connected:
                edge.broker_up(self._clock.monotonic(), _PATIENCE_S, False)
        elif self.session.connected:  # its births went by before this device was watched
            edge.want(self._clock.monotonic())
        self._fit(node)
        if self._reason is not None:
            station.down(*self._reason, self._clock.now_us())
        self._settle()

    def remove(self, number: int) -> None:
        """Hear a device no more."""
        station = self.stations.pop(number)
        node = station.understood.connection.node
        self._of[node].remove(station)
        if self._of[node]:
            self._fit(node)
        else:
            del self._of[node], self.nodes[node], self._qos[node]
            self._roads.clear()
            self._groups[node.group] -= 1
        self._settle()

    def stop(self) -> None:
        """List what is still open; the broker says by our will that we are gone."""
        for timer in (self._settling, self._ticking):
            if timer is not None:
                timer.cancel()
        if self._away_since is not None:
            self._miss_all(self._away_since, self._clock.now_us())

    def _fit(self, node: Node) -> None:
        """Let an edge node follow the devices it has now; the most patient one decides."""
        connections = [station.understood.connection for station in self._of[node]]
        self.nodes[node].reorder_s = max(one.reorder_ms for one in connections) / 1000
        self._qos[node] = max(one.qos for one in connections)

    def _settle(self) -> None:
        """Subscribe to what the devices want now, once for many changes."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_S, self._subscribe)

    def _subscribe(self) -> None:
        self._settling = None
        filters = {self._state: 1}
        for node, qos in self._qos.items():
            for name in self._filters(node):
                filters[name] = max(filters.get(name, 0), qos)
        self.session.subscribe(filters)
        self._watch()

    def _filters(self, node: Node) -> tuple[str, ...]:
        """Return the topic filters under which a node is heard: its own, or its group's where many of it are.

        Brokers bound a session's subscriptions. A name that NATS cannot bear keeps its own, so that it is refused.
        """
        many = self._groups[node.group] > _MANY_NODES and " " not in node.name
        return node.group_filters if many else (node.filter,)

    # The broker.

    def _will(self) -> tuple[str, bytes, int, bool]:
        return self._state, self._said(online=False), 1, True

    def _said(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._since_ms}).encode()

    def _up(self) -> None:
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        self._deaf.clear()
        self._say_online()
        if self._away_since is not None:
            self._miss_all(self._away_since, now_us)
        for edge in self.nodes.values():
            edge.broker_up(now_s, _PATIENCE_S + random.uniform(0, 1), self.session.resumed)
        self._away_since = self._reason = None
        self._watch()

    def _down(self, reason: str, detail: dict[str, Any]) -> None:
        now_us = self._clock.now_us()
        self._away_since = self._away_since or now_us
        self._reason = reason, detail
        self._since_ms = now_us // 1000
        self.session.will = self._will()
        for edge in self.nodes.values():
            edge.broker_down(self._clock.monotonic())
        for station in self.stations.values():
            station.down(reason, detail, now_us)

    def _miss_all(self, since: int, until: int) -> None:
        for station in self.stations.values():
            station.missed(since, until, "mqtt.broker-away")

    def _refused(self, name: str, code: int) -> None:
        for node, stations in self._of.items():
            if name in self._filters(node):
                self._deaf.add(node)
                for station in stations:
                    detail = {"topic": name, "code": code}
                    station.trouble("mqtt.subscription-refused", detail, self._clock.now_us())

    def _say_online(self) -> None:
        self.session.publish(self._state, self._said(online=True), 1, True)

    # Messages.

    def _message(self, message: Message) -> None:
        if message.topic == self._state:
            self._hear_state(message)
            return
        road = self._roads.get(message.topic) or self._find(message.topic)
        if road is None:
            return
        topic, edge, crew = road.topic, road.edge, road.crew
        if message.retain:  # Sparkplug forbids it: nobody knows how old it is
            crew.tell([Trouble(topic.device, "sparkplug.retained")], message.received)
            return
        try:
            if len(message.payload) > _MOST_BYTES:
                raise Rejected(f"{len(message.payload)} bytes")
            payload = road.read(message.payload)
        except Rejected as error:
            detail = {"problem": str(error)[:200]}
            crew.tell([Trouble(topic.device, "sparkplug.payload-unusable", detail)], message.received)
            return
        now_s = self._clock.monotonic()
        crew.tell(edge.take(topic.kind, topic.device, payload, message.received, now_s), message.received)
        if edge.pending:
            self._arm()

    def _find(self, name: str) -> _Road | None:
        """Return what a topic says and whom it concerns, and remember it; None when it is no watched node's."""
        topic = parse(name)
        if topic is None or topic.node not in self.nodes:
            return None
        if len(self._roads) >= _ROADS_KEPT:
            self._roads.clear()
        road = self._roads[name] = _Road(topic, self.nodes[topic.node], self._of[topic.node])
        return road

    def _hear_state(self, message: Message) -> None:
        """Say again that we are online when the will of an earlier connection came late."""
        try:
            online = json.loads(message.payload).get("online") is True
        except (ValueError, AttributeError, RecursionError):
            online = False
        if not online and not message.retain and self.session.connected:
            self._say_online()

    # Time and rebirths.

    def _watch(self) -> None:
        """Look after the nodes that wait for something, as long as any does."""
        if any(edge.pending for edge in self.nodes.values()):
            self._arm()

    def _arm(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        left = _REBIRTHS_A_TICK
        for node, edge in self.nodes.items():
            if edge.pending:
                self._of[node].tell(edge.tick(now_s), now_us)
                if left and self._may_ask(node) and edge.rebirth_due(now_s):
                    left -= 1
                    self.session.publish(node.command(None), rebirth(now_us))
        self._watch()

    def _may_ask(self, node: Node) -> bool:
        return self.session.connected and node not in self._deaf

    async def births(self, station: Station, within_s: float) -> None:
        """Wait until a device's birth is known, asking for it within the limit.

        Raises Unavailable when it did not come.
        """
        edge = self.nodes[station.understood.connection.node]
        if not station.known.is_set():
            edge.want(self._clock.monotonic())
            self._watch()
        try:
            async with asyncio.timeout(within_s):
                await station.known.wait()
        except TimeoutError as error:
            raise Unavailable("no birth of it came; a rebirth is asked for at most once a minute") from error


def rebirth(now_us: int) -> bytes:
    """Return the payload of the command that asks an edge node for its births."""
    return encode(Payload(now_us // 1000, [Metric(REBIRTH, None, DataType.BOOLEAN, True)]))
