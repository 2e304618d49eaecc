"""A session with a broker: what it delivers is acknowledged once the outbox holds it, and never delivered twice.

The session is the broker's (clean start off): while we are away it keeps what QoS 1 publishers send. Each PUBACK
waits until `sink.sealed` has reached the slot that held the message; what the broker delivers again after a lost
connection, or to the next process after a kill, is recognised by its receipt. Subscriptions ask for at most QoS 1:
QoS 2 adds nothing to that, and paho would send its PUBREC before anybody keeps the message.
"""

import asyncio
import hashlib
import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from paho.mqtt import client as paho

from gateway.adapter import Sink, Workplace
from gateway.adapters.mqtt.connection import Connection, discard, opened
from gateway.adapters.mqtt.deliveries import Deliveries, Taken
from gateway.adapters.mqtt.packets import Message
from gateway.adapters.mqtt.receipts import Receipts, digest_of
from gateway.adapters.mqtt.settings import BrokerSettings, Tls
from gateway.adapters.mqtt.wire import Refused, Wire, password_of, tls_context
from muster.clock import Clock
from muster.errors import ConfigError, RequestError, Unavailable

__all__ = ["BrokerSession", "BrokerSettings", "Message", "Tls", "Will"]

_log = structlog.get_logger()

Will = tuple[str, bytes, int, bool]
"""Topic, payload, QoS, retain."""

_HOLD_S = 0.1
_FIRST_PAUSE_S = 0.5
_SETTLED_S = 10.0
"""A connection that lasted this long was good: the next pause is short again."""
_STRANGERS = 3
"""After so many connections in a row that were closed soon after they began, somebody else uses our client id."""
_REDELIVERED_WITHIN_S = 120.0
_FILTERS_AT_ONCE = 100
_NOWHERE = "muster/confirm"
"""A filter nobody subscribes to: that its UNSUBACK came shows that the broker has read what was sent before."""


class BrokerSession:
    """One client of one broker. All calls and callbacks belong to the event loop."""

    def __init__(
        self,
        settings: BrokerSettings,
        workplace: Workplace,
        sink: Sink,
        clock: Clock,
        on_message: Callable[[Message], None],
        on_up: Callable[[], None],
        on_down: Callable[[str, dict[str, Any]], None],
        will: Will | None = None,
        *,
        lasting: bool = True,
        fresh: bool = False,
    ) -> None:
        """on_message: must put what it keeps into the sink before it returns.

        lasting: False for listening a moment, under an id of its own, without the broker keeping anything.
        fresh: what the broker kept under this id before is not wanted, for somebody else may have heard it.
        """
        self.settings = settings
        self.connected = False
        self.resumed = False
        """Whether the broker had kept the session when the connection that is up began."""
        self.redelivered = 0
        self.on_refused: Callable[[str, int], None] = lambda name, code: None
        """Told of each topic filter that the broker refuses, with its code."""
        self._sink = sink
        self._clock = clock
        self._on_message, self._on_up, self._on_down = on_message, on_up, on_down
        self.will = will
        self._lasting, self._fresh = lasting, fresh
        self._filters: dict[str, int] = {}
        mark = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:8]
        self.client_id = settings.client_id or f"muster-{workplace.name}-{workplace.folder.name}-{mark}"
        if not lasting:
            self.client_id += f"-{secrets.token_hex(4)}"
        name = hashlib.sha256(f"{settings.text} {self.client_id}".encode()).hexdigest()[:16]
        self._path = workplace.folder / f"{name}.receipts"
        self._receipts: Receipts | None = None
        self._unwatch_cut: Callable[[], None] | None = None
        """Set when the session is over: it stays bound to write its receipts until it can."""
        self._link: Connection | None = None
        self._answered: asyncio.Future[int] | None = None
        self._deliveries = Deliveries()
        self._acked: list[Taken] = []
        self._confirming: tuple[int, list[Taken]] | None = None
        self._subscribing: dict[int, list[str]] = {}
        self._brief = 0

    # The session's life.

    async def run(self) -> None:
        """Stay connected until cancelled, with backoff and jitter; leaves no connection behind."""
        pause_s = _FIRST_PAUSE_S
        said = ""
        unwatch_sealed = self._sink.watch_sealed(self._sealed)
        unwatch_cut = self._sink.watch_cut(self._write)
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                try:
                    end = await self._once()
                except Refused as refused:
                    end = refused
                except ConfigError as error:
                    end = Refused("mqtt.files-unusable", problem=str(error))
                except Unavailable as error:
                    end = Refused("mqtt.receipts-unusable", problem=str(error))
                if self._suspicious(end, loop.time() - began):
                    end = Refused("mqtt.session-taken-over", client_id=self.client_id)
                if self.connected or end.reason != said:
                    said = end.reason
                    _log.warning("broker-away", broker=self.settings.text, reason=end.reason, **end.detail)
                    self.connected = False
                    self._on_down(end.reason, end.detail)
                if loop.time() - began > _SETTLED_S:
                    pause_s = _FIRST_PAUSE_S
                await asyncio.sleep(min(pause_s, self.settings.backoff_max_s) * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, self.settings.backoff_max_s)
        finally:
            unwatch_sealed()
            self.connected = False
            self._unwatch_cut = unwatch_cut
            self._write()

    async def _once(self) -> Refused:
        """Connect, work, and return why the connection ended. Raises Refused, ConfigError or Unavailable."""
        if self._lasting and self._receipts is None:
            self._receipts = Receipts(self._path, self._sink.sealed)
        while self._lasting and self._sink.mark() is None:  # noqa: ASYNC110 - the sink tells only what is durable
            await asyncio.sleep(_HOLD_S)
        loop = asyncio.get_running_loop()
        self._answered = loop.create_future()
        context, password = await asyncio.to_thread(self._prepare)
        if self._fresh and self.settings.version == "3.1.1":
            await discard(self.settings, self.client_id, password, context)
            self._fresh = False
        wire = Wire(self.settings, self.client_id, password, self._lasting, context, fresh=self._fresh)
        if self.will is not None:
            wire.will_set(*self.will)
        wire.on_connect = wire.later(self._connack)
        wire.on_message = wire.later(self._twice)
        wire.on_subscribe = wire.later(self._subscribed)
        wire.on_unsubscribe = wire.later(self._unsubscribed)
        await opened(wire)
        five = self.settings.version == "5"
        link = self._link = Connection(wire, five, self._clock.now_us, self._keeping, self._heard)
        try:
            await link.granted_by(self._answered, self.settings.connect_timeout_ms / 1000)
            return await link.ended
        finally:
            self._leave(link)
            if link.failure is not None:
                raise link.failure

    def _keeping(self) -> bool:
        """Tell whether what comes now is kept."""
        return not self._lasting or self._sink.mark() is not None

    def _prepare(self) -> tuple[Any, str | None]:
        return tls_context(self.settings), password_of(self.settings)

    def _suspicious(self, end: Refused, lasted_s: float) -> bool:
        """Tell whether somebody else must be using our client id: MQTT 3.1.1 has no word for it."""
        closed = self.connected and end.detail.get("cause") == "mqtt.connection-lost"
        self._brief = self._brief + 1 if closed and lasted_s < _SETTLED_S else 0
        return self._brief >= _STRANGERS

    # The session's beginning and end with each connection.

    def _begin(self, resumed: bool) -> None:
        """Work with a session that the broker granted."""
        if self._receipts is not None and not resumed:
            self._receipts.clear()
        elif self._receipts is not None and len(self._receipts):
            asyncio.get_running_loop().call_later(_REDELIVERED_WITHIN_S, self._forget, self._link)
        self.connected, self.resumed, self._fresh = True, resumed, False
        self._ask(self._filters)
        self._on_up()

    def _forget(self, link: Connection | None) -> None:
        """Drop the receipts of what the broker did not deliver again on this connection."""
        if link is not None and self._link is link and self._receipts is not None:
            self._receipts.expire()

    def _leave(self, link: Connection) -> None:
        """Close the connection; what was not acknowledged comes again with the next."""
        self._link = None
        link.stop()
        if self._receipts is not None:
            self._receipts.interrupt(self._deliveries.digests())
        self._deliveries.clear()
        self._acked.clear()
        self._confirming = None
        self._subscribing.clear()

    # What the broker says.

    def _connack(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        assert self._answered is not None
        code = reason.value
        if not self._answered.done():
            self._answered.set_result(code)
            if (
                code == 0 and self._link is not None
            ):  # at once: messages may stand behind it in the same chunk
                self._link.granted = True
                self._begin(bool(flags.session_present))

    def _twice(self, _client: Any, _data: Any, packet: paho.MQTTMessage) -> None:
        """Take a message that paho got at QoS 2, from a subscription that somebody else made."""
        try:
            topic = packet.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode("utf-8", "backslashreplace")
        now_us = self._clock.now_us()
        payload = bytes(packet.payload)
        self._heard([Message(topic, payload, packet.qos, packet.retain, packet.dup, now_us, packet.mid)])

    def _heard(self, messages: list[Message]) -> None:
        """Let the room put what came, and note what is to be acknowledged. Raises Unavailable.

        What came again may be durable already, and is acknowledged at once. The rest waits for its slot.
        """
        receipts, on_message, redelivered = self._receipts, self._on_message, self.redelivered
        mark = self._sink.mark() or 0
        numbers: list[int] = []
        digests: list[bytes] = []
        for message in messages:
            if message.qos != 1 or message.duplicate or receipts is None:
                self._note(mark, numbers, digests)
                numbers, digests = [], []
                self._take(message, mark)
                continue
            packet = message.packet
            digests.append(digest_of(packet, message.topic, message.payload))
            numbers.append(packet)
            on_message(message)
        self._note(mark, numbers, digests)
        if receipts is not None:
            if self.redelivered != redelivered:
                receipts.flush()
                self._sealed(self._sink.sealed)
        elif self._link is not None:
            self._link.wire.acknowledge(self._deliveries.take(mark)[0])

    def _note(self, mark: int, numbers: list[int], digests: list[bytes]) -> None:
        """Note that new messages at QoS 1 lie in the slot `mark`."""
        if numbers and self._receipts is not None:
            self._receipts.put(digests, mark)
            self._deliveries.add(mark, 1, numbers, digests)

    def _take(self, message: Message, mark: int) -> None:
        """Take a message of any kind, after all before it were noted."""
        receipts, packet, qos = self._receipts, message.packet, message.qos
        if qos == 0 or receipts is None:
            self._on_message(message)
            if qos:
                self._deliveries.add(mark, qos, [packet], [])
            return
        digest = digest_of(packet, message.topic, message.payload)
        slot = receipts.known(digest) if message.duplicate else None
        if slot is None:
            self._on_message(message)
            receipts.put([digest], mark)
            self._deliveries.add(mark, qos, [packet], [digest])
        else:
            self.redelivered += 1
            if packet not in self._deliveries:  # NATS does so whenever an acknowledgement takes long
                self._deliveries.add(slot, qos, [packet], [digest])

    def _write(self) -> bool:
        """Have the receipts in their file before what they stand for may be durable; tell whether they are."""
        try:
            if self._receipts is not None:
                self._receipts.flush()
        except Unavailable as error:
            if self._link is not None:
                self._link.end(Refused("mqtt.receipts-unusable", problem=str(error)))
            return False
        if self._unwatch_cut is not None:  # the session is over, and so is its last duty
            self._unwatch_cut()
            self._unwatch_cut = None
            if self._receipts is not None:
                self._receipts.close()
        return True

    def _sealed(self, through: int) -> None:
        """Acknowledge, in the order in which it came, what is durable now."""
        link, receipts = self._link, self._receipts
        if link is None or receipts is None:
            return
        packets, taken = self._deliveries.take(through)
        if packets:
            link.wire.acknowledge(packets)
            link.want_write()
            self._acked += taken
        if self._acked and self._confirming is None:
            _, asked = link.wire.unsubscribe(_NOWHERE)
            if asked is not None:
                self._confirming = (asked, self._acked)
                self._acked = []

    def _unsubscribed(self, _client: Any, _data: Any, mid: int, *_: Any) -> None:
        if self._confirming is not None and self._confirming[0] == mid and self._receipts is not None:
            self._receipts.confirm(self._confirming[1])
            self._confirming = None

    def _subscribed(self, _client: Any, _data: Any, mid: int, codes: Any, _properties: Any) -> None:
        for name, code in zip(self._subscribing.pop(mid, []), codes, strict=False):
            if code.value >= 128:
                _log.error("subscription-refused", broker=self.settings.text, filter=name, code=code.value)
                prefix = f"$share/{self.settings.share}/" if self.settings.share else ""
                self.on_refused(name.removeprefix(prefix), code.value)

    # What the rooms ask.

    def subscribe(self, filters: Mapping[str, int]) -> None:
        """Subscribe to exactly these topic filters, filter → QoS, now and with every later connection."""
        wanted = {self._shared(name): min(qos, 1) for name, qos in filters.items()}
        gone = [name for name in self._filters if name not in wanted]
        new = {name: qos for name, qos in wanted.items() if self._filters.get(name) != qos}
        self._filters = wanted
        if self.connected and self._link is not None:
            if gone:
                self._link.wire.unsubscribe(gone)
            self._ask(new)

    def part(self) -> None:
        """Ask the broker to collect nothing more for us, should it hear that: this session is no longer needed."""
        self.subscribe({})
        if self._link is not None:
            self._link.send()

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        """Publish. Raises Unavailable while the broker is away, RequestError for a topic that cannot be."""
        if not self.connected or self._link is None:
            raise Unavailable(f"the broker {self.settings.text} is away")
        try:
            self._link.wire.publish(topic, payload, qos, retain)
        except ValueError as error:
            raise RequestError(f"topic {topic!r}: {error}", code="bad-topic") from error

    def _ask(self, filters: Mapping[str, int]) -> None:
        asked = list(filters.items())
        for at in range(0, len(asked), _FILTERS_AT_ONCE):
            some = asked[at : at + _FILTERS_AT_ONCE]
            assert self._link is not None
            _, mid = self._link.wire.subscribe(some)
            if mid is not None:
                self._subscribing[mid] = [name for name, _ in some]

    def _shared(self, name: str) -> str:
        return f"$share/{self.settings.share}/{name}" if self.settings.share else name
