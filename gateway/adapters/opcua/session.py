"""One session with one server, shared by the devices that stand behind it: opened, kept, lost and opened anew."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

import structlog
from asyncua import Client, ua

from gateway.adapter import Found
from gateway.adapters.opcua.browsing import browse
from gateway.adapters.opcua.config import Connection, Place
from gateway.adapters.opcua.decode import moment_us
from gateway.adapters.opcua.entry import LOST, check, enter, leave
from gateway.adapters.opcua.identification import identify, origin_of
from gateway.adapters.opcua.landing import Watched
from gateway.adapters.opcua.methods import call
from gateway.adapters.opcua.notification import Published
from gateway.adapters.opcua.prepared import Reading
from gateway.adapters.opcua.publishing import Hole, Publisher, SubscriptionLost, subscribe
from gateway.adapters.opcua.pulse import Pulse
from gateway.adapters.opcua.station import Station
from gateway.adapters.opcua.structures import Structures
from gateway.adapters.opcua.trust import Distrusted, Trust
from gateway.adapters.opcua.turns import LONGEST_WAIT_S, TurnClient, Turns
from muster.clock import Clock
from muster.device import ReportMode
from muster.errors import ConfigError, RequestError, Unavailable
from muster.scans import How

_log = structlog.get_logger()

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what it warns of is told by events

_FIRST_REST_S = 0.5
_ASKED_AT_ONCE = 8
_NOT_LET_IN = (
    ua.StatusCodes.BadSecurityChecksFailed,
    ua.StatusCodes.BadCertificateUntrusted,
    ua.StatusCodes.BadCertificateInvalid,
)
_CURRENT_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)


class Session:
    """A session and its subscription. `run` is the only task that opens, keeps and closes it.

    `look` is to be called every `KEEP_ALIVE_S`: what needs no question to the server is done there, so that a session
    in which all is well wakes no task and has no timer.
    """

    def __init__(self, settings: Connection, clock: Clock, turns: Turns, trust: Trust, part: int) -> None:
        """turns: of this server's sessions. part: of the room's sessions, which are looked after part by part."""
        self.stations: dict[int, Station] = {}
        self.part = part
        self._settings = settings
        self._clock = clock
        self._turns = turns
        self._trust = trust
        self._pulse = Pulse(0.0)
        self._silence_s = 0.0
        self._over: Exception | None = None
        self._must_measure = False
        self._client: Client | None = None
        self._publisher: Publisher | None = None
        self._server_time: Reading | None = None
        self._namespaces: list[str] = []
        self._structures = Structures()
        self._watched = Watched()
        self._items: dict[int, tuple[Station, list[int]]] = {}
        self._subscription = 0
        self._shown = b""
        self._wake = asyncio.Event()

    def changed(self) -> None:
        """Look at the stations again: some came or went."""
        self._wake.set()

    def look(self, now: float) -> None:
        """Look at the open session, at `now` of the event loop; its task is woken if there is anything to do."""
        if self._client is None:
            return
        try:
            if self._shown:  # what was trusted may have expired, or been refused or revoked meanwhile
                check(self._shown, self._settings, self._trust)
        except Exception as error:  # noqa: BLE001 - for `run`, the supervisor
            self._end(error)
        silent_s = now - self._pulse.heard_s
        if silent_s > self._silence_s + self._settings.timeout_ms / 1000:
            self._end(SubscriptionLost(f"no notification or keep-alive for {silent_s:.0f} s"))
        elif self._pulse.must_ask(now):
            self._must_measure = True
            self._wake.set()
        elif self._publisher is not None:
            for station, _ in self._items.values():
                station.alive(self._publisher.came_us)

    async def run(self) -> None:
        """Keep a session until cancelled."""
        failures = 0
        while True:
            client = TurnClient(self._settings.server, self._settings.timeout_ms / 1000, self._turns)
            unreachable = False
            try:
                await self._open(client)
                failures = 0
                await self._serve(client)
            except Distrusted as distrusted:
                self._say_down(distrusted.reason, distrusted.detail)
            except SubscriptionLost as error:
                self._say_down("opcua.subscription-lost", {"problem": str(error)})
            except ConfigError as error:
                self._say_down("opcua.configuration-wrong", {"problem": str(error)})
            except LOST as error:
                unreachable = isinstance(error, (OSError, TimeoutError))
                self._say_down(reason_of(error), {"problem": str(error) or type(error).__name__})
            except Exception as error:  # noqa: BLE001 - a supervisor: one server must not end the others
                _log.exception("opcua-session-failed")
                self._say_down("opcua.garbage", {"problem": f"{type(error).__name__}: {error}"})
            finally:
                self._client = None
                if self._publisher is not None:
                    self._publisher.stop()
                    self._publisher = None
                self._items.clear()
                self._watched.clear()
                await leave(client)
            failures += 1
            rest_s = min(_FIRST_REST_S * 2.0 ** min(failures - 1, 20), self._settings.backoff_max_s)
            rest_s *= random.uniform(0.5, 1.0)
            await (self._turns.rest(rest_s) if unreachable else asyncio.sleep(rest_s))

    async def read(self, places: Sequence[Place]) -> list[ua.DataValue]:
        """Read now with maxAge 0. Raises Unavailable."""
        client = self._connected()
        wanted = [ua.ReadValueId(self.node(p.address.node), ua.AttributeIds.Value) for p in places]
        asked = ua.ReadParameters(MaxAge=0, NodesToRead=wanted)
        asked.TimestampsToReturn = ua.TimestampsToReturn.Both
        try:
            return list(await client.uaclient.read(asked))
        except LOST as error:
            raise Unavailable(reason_of(error)) from error

    async def write(self, place: Place, raw: bool | int | float | str) -> None:
        """Write one node's value in the type that it has, or by its method. Raises Unavailable or RequestError."""
        client = self._connected()
        if place.address.path and place.address.call is None:
            raise RequestError(
                "a part of an array or structure is not written alone", status=409, code="refused"
            )
        node = client.get_node(self.node(place.address.node))
        try:
            if place.address.call is not None:
                await call(client, place.address.call, raw, self.node)
                return
            kind = await node.read_data_type_as_variant_type()
            await node.write_value(ua.DataValue(ua.Variant(raw, kind)))
        except ua.UaStatusCodeError as error:
            raise RequestError(f"the server refused: {error}", status=409, code="refused") from error
        except LOST as error:
            raise Unavailable(reason_of(error)) from error

    async def browse(self, root: str | None, search: str) -> list[Found]:
        """Return what the server offers below `root`. Raises Unavailable."""
        client = self._connected()
        try:
            below = ua.NodeId(ua.ObjectIds.ObjectsFolder) if root is None else self.node(root)
            return await browse(client, below, root, self._namespaces, search)
        except LOST as error:
            raise Unavailable(reason_of(error)) from error

    def node(self, text: str) -> ua.NodeId:
        """Return a node id, its namespace's URI replaced by the index that it has in this session."""
        return node_of(text, self._namespaces)

    def _connected(self) -> Client:
        if self._client is None:
            raise Unavailable("no session with the server now")
        return self._client

    async def _open(self, client: Client) -> None:
        limit_s = self._settings.connect_timeout_ms / 1000
        async with self._turns.opening, asyncio.timeout(limit_s + LONGEST_WAIT_S):
            self._shown = await enter(client, self._settings, self._trust)
        self._turns.got_through()
        async with asyncio.timeout(limit_s):
            await self._subscribe(client)

    async def _subscribe(self, client: Client) -> None:
        self._namespaces = await client.get_namespace_array()
        self._structures = Structures()
        intervals = [station.device.interval_s for station in self.stations.values()]
        asked = ua.CreateSubscriptionParameters()
        asked.RequestedPublishingInterval = max(100.0, 1000 * min(intervals, default=1.0) / 2)
        asked.RequestedLifetimeCount = 3000
        asked.RequestedMaxKeepAliveCount = 10
        asked.PublishingEnabled = True
        made = await subscribe(client, asked)
        self._subscription = made.SubscriptionId
        self._publisher = Publisher(
            client, made.SubscriptionId, self._clock.now_us, self._published, self._wake.set
        )
        self._server_time = Reading(client, _CURRENT_TIME, self._settings.timeout_ms / 1000)
        self._silence_s = 3 * made.RevisedPublishingInterval / 1000 * made.RevisedMaxKeepAliveCount
        self._pulse = Pulse(asyncio.get_running_loop().time())
        self._over = None
        self._must_measure = True
        self._publisher.start()
        self._client = client

    async def _serve(self, client: Client) -> None:
        loop, publisher = asyncio.get_running_loop(), self._publisher
        assert publisher is not None
        while True:
            self._wake.clear()
            publisher.check()
            await publisher.mend(self._missed)
            await self._settle(client)
            if self._over is not None:
                raise self._over
            if self._must_measure:
                self._must_measure = False
                await self._measure()
                self._pulse.measured(loop.time())
            now, due = loop.time(), None
            for station in list(self.stations.values()):
                if station.read_every_s is None or station.device.number not in self._items:
                    continue
                if now >= station.next_read:
                    station.next_read = now + station.read_every_s
                    await self._read_due(station)
                due = station.next_read if due is None else min(due, station.next_read)
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _read_due(self, station: Station) -> None:
        places = station.understood.places
        try:
            answers = await self.read(places)
        except Unavailable as error:
            raise TimeoutError(str(error)) from error
        station.take(zip(places, answers, strict=True), self._clock.now_us(), How.SOLICITED)

    async def _settle(self, client: Client) -> None:
        """Watch what the stations name now."""
        for number, (station, items) in list(self._items.items()):
            if self.stations.get(number) is not station:
                del self._items[number]
                self._watched.drop(station)
                if not items:
                    continue
                gone = ua.DeleteMonitoredItemsParameters(self._subscription, items)
                await client.uaclient.delete_monitored_items(gone)
        come = [one for number, one in self.stations.items() if number not in self._items]
        if come:
            self._pulse.ask_soon()
        for station in come:
            station.up()  # before its first values, which come while the server still answers
        for at in range(0, len(come), _ASKED_AT_ONCE):
            some = come[at : at + _ASKED_AT_ONCE]
            connections = [station.understood.connection for station in some]
            said = await asyncio.gather(*(identify(client, one, self.node) for one in connections))
            for station, facts in zip(some, said, strict=True):
                station.identified(
                    facts, origin_of(facts)
                )  # a simulator's first value must not count as real
                await self._learn(client, station)
                self._items[station.device.number] = (station, await self._watch(client, station))

    async def _learn(self, client: Client, station: Station) -> None:
        """Ask for the structures in which tags of a device stand."""
        within = {p.address.node for p in station.understood.places if p.address.has_field}
        await self._structures.learn(client, [self.node(node) for node in sorted(within)])
        station.structures = self._structures

    async def _watch(self, client: Client, station: Station) -> list[int]:
        if station.device.report_mode is ReportMode.POLLED:
            return []
        wanted = []
        connection = station.understood.connection
        handles = self._watched.add(station)
        for handle, place in zip(handles, station.understood.places, strict=True):
            sampling = connection.sampling_interval_ms
            asked = ua.MonitoringParameters(
                ClientHandle=handle,
                SamplingInterval=500 * station.device.interval_s if sampling is None else sampling,
                QueueSize=connection.queue_size,
                DiscardOldest=True,
            )
            if connection.deadband is not None and place.tag.type in ("float32", "float64"):
                asked.Filter = ua.DataChangeFilter(
                    ua.DataChangeTrigger.StatusValue, ua.DeadbandType.Absolute, connection.deadband
                )
            what = ua.ReadValueId(self.node(place.address.node), ua.AttributeIds.Value)
            wanted.append(ua.MonitoredItemCreateRequest(what, ua.MonitoringMode.Reporting, asked))
        made = await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(self._subscription, ua.TimestampsToReturn.Both, wanted)
        )
        refused = [
            (place, ua.DataValue(StatusCode=one.StatusCode))
            for place, one in zip(station.understood.places, made, strict=True)
            if not one.StatusCode.is_good()
        ]
        if refused:
            station.take(refused, self._clock.now_us(), How.SOLICITED)
        return [one.MonitoredItemId for one in made if one.StatusCode.is_good()]

    async def _measure(self) -> None:
        """Ask the server for its time: that is the keep-alive, and the measure of its clock."""
        assert self._server_time is not None
        began_us, began = self._clock.now_us(), self._clock.monotonic()
        answer = await self._server_time.read()
        half_us = round((self._clock.monotonic() - began) * 1e6 / 2)
        server_us = moment_us(answer.Value.Value)
        for station in self.stations.values():
            station.alive(self._clock.now_us())
            station.clock_measured(server_us - began_us - half_us, half_us)

    def _published(self, said: Published, received: int) -> None:
        self._pulse.heard(asyncio.get_running_loop().time(), said.stamp - received)
        if said.changes is not None:
            self._watched.take(said.changes, received)
        if said.ended is not None:
            self._end(SubscriptionLost(ua.StatusCode(said.ended).name))

    def _end(self, error: Exception) -> None:
        """Have the task end the session with this."""
        self._over = self._over or error
        self._wake.set()

    def _missed(self, hole: Hole) -> None:
        for station, _ in self._items.values():
            station.missed(hole.since, hole.until, "opcua.notification-lost")

    def _say_down(self, reason: str, detail: dict[str, Any]) -> None:
        for station in self.stations.values():
            station.down(reason, detail)


def node_of(text: str, namespaces: Sequence[str]) -> ua.NodeId:
    """Return a node id, its namespace's URI replaced by its index in `namespaces`."""
    if text.startswith("nsu="):
        uri, _, rest = text[4:].partition(";")
        if uri not in namespaces:
            return ua.NodeId(Identifier="no such namespace", NamespaceIndex=65535)
        text = f"ns={namespaces.index(uri)};{rest}"
    return ua.NodeId.from_string(text)


def reason_of(error: BaseException) -> str:
    """Return the catalogue key of what ended a session, or kept one from being opened."""
    if isinstance(error, ua.UaStatusCodeError):
        if error.code in (ua.StatusCodes.BadUserAccessDenied, ua.StatusCodes.BadIdentityTokenRejected):
            return "opcua.user-refused"
        if error.code in _NOT_LET_IN:
            return "opcua.own-certificate-refused"
        if error.code == ua.StatusCodes.BadTooManySessions:
            return "opcua.too-many-sessions"
    if isinstance(error, TimeoutError):
        return "opcua.timeout"
    if isinstance(error, ConnectionRefusedError):
        return "opcua.connection-refused"
    if isinstance(error, OSError):
        return "opcua.connection-lost"
    return "opcua.refused"
