"""One device as the room sees it: what its messages say, and what can be said of its session."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gateway.adapter import Diagnostics, Sink, Value
from gateway.adapters.mqtt.awaiting import Watchers
from gateway.adapters.mqtt.broker import Message
from gateway.adapters.mqtt.config import Status, Understood
from gateway.adapters.mqtt.mapping import Mapping, Read, Record
from gateway.adapters.mqtt.order import Order
from gateway.adapters.mqtt.paths import compile_path
from gateway.adapters.mqtt.topics import matches
from gateway.nameplate import origin_in
from muster.clock import SECOND_US, Clock
from muster.device import Device
from muster.errors import Rejected
from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import NULL_BITS, How

_ANSWER_EVERY_US = SECOND_US
_ERROR_EVERY_US = 5 * SECOND_US
_PAYLOADS_KEPT = 64

Take = Callable[[Message], None]


class Station:
    """A device that speaks unasked."""

    def __init__(self, device: Device, understood: Understood, sink: Sink, clock: Clock) -> None:
        self.device = device
        self.understood = understood
        self._payloads: dict[str, bytes] = {}
        """The newest payload of each topic that could be read."""
        self.watchers: Watchers = []
        self.listeners: list[Take] = []
        """Told of every message that is no value: answers to commands."""
        self._sink = sink
        self._clock = clock
        self._number = device.number
        self._order = Order(device.interval_s)
        self._pace_us = round(device.interval_s * SECOND_US / 2)
        self._draining = False
        self._last_us = 0
        self._session = "not observable"
        self._report = Diagnostics(session=self._session)
        self._error: tuple[str, str] = ("", "")
        self._error_us = 0
        self._answer_us = 0
        status = understood.connection.status
        self._status = status
        self._status_path = (
            None if status is None or status.path is None else compile_path(status.path, "status")
        )

    # Messages.

    def road(self, topic: str) -> list[Take]:
        """Return what is to be done with messages of a topic under one of the device's filters."""
        connection = self.understood.connection
        if self._status is not None and matches(self._status.topic, topic):
            return [partial(self._say_status, self._status)]
        if connection.heartbeat is not None and matches(connection.heartbeat, topic):
            return [self._say_answer]
        return [
            partial(self._values, mapping)
            for name, mapping in self.understood.mappings.items()
            if name == topic or matches(name, topic)
        ] or [self._tell_listeners]

    def _tell_listeners(self, message: Message) -> None:
        for listener in tuple(self.listeners):
            listener(message)

    def _values(self, mapping: Mapping, message: Message) -> None:
        topic, payload, received = message.topic, message.payload, message.received
        self._report.polls += 1
        if mapping.stamped and not message.retain and self._order.repeated(topic, payload, received):
            return  # its publisher sent it again, not knowing that the broker had it
        read = None
        try:
            quick = None if self.watchers else mapping.quick(payload)
            if quick is None:
                read = mapping.read(payload)
        except Rejected as error:
            self._say_error("mqtt.payload-unusable", message, str(error))
            return
        if topic in self._payloads or len(self._payloads) < _PAYLOADS_KEPT:
            self._payloads[topic] = payload
        if quick is None:
            assert read is not None
            self._whole(mapping, message, read)
            return
        time, values = quick
        how = self._how(message, time)
        self._last_us = received
        self._sink.good(
            self._number, received if time is None else time, received, mapping.first, values, how
        )
        if how is not How.HISTORY:
            self._live(received)

    def _whole(self, mapping: Mapping, message: Message, read: Read) -> None:
        """Put what a payload holds that was not read at once."""
        if read.problems:
            self._say_error("mqtt.payload-unusable", message, read.problems[0])
        elif not read.records:
            self._say_answer(message)
            self._say_error("mqtt.no-tag-in-payload", message, "")
        for record in read.records:
            self._put(message, record)
        if mapping.identifies and not message.retain:
            facts = mapping.identity(read.document)
            if facts and facts != self._report.identity:
                self._report.identity = facts
                origin = origin_in(facts.values())
                self._sink.event(
                    Event("identity", self._number, message.received, detail=dict(facts), origin=origin)
                )

    def _put(self, message: Message, record: Record) -> None:
        received = message.received
        time = received if record.time is None else record.time
        how = self._how(message, record.time)
        self._last_us = received
        self._sink.scan(self._number, time, received, record.first, record.value, record.quality, how)
        for position, text in record.texts:
            self._sink.text(TextReading(self._number, position, time, received, text))
        if how is How.HISTORY:
            return
        self._live(received)
        if self.watchers:
            values = list(_values_of(record, time, received))
            for told in tuple(self.watchers):
                told(values)

    def _live(self, received: int) -> None:
        report = self._report
        report.answers += 1
        report.last_good = received
        if self._error[0]:
            self._error = ("", "")

    def _how(self, message: Message, time: int | None) -> How:
        """Tell a live message from one that was kept somewhere."""
        if message.retain:
            return How.HISTORY
        received = message.received
        if time is not None:
            if self._order.measured(time, received):
                detail = {"offset_us": self._order.offset_us, "accuracy_us": self._order.accuracy_us}
                self._sink.event(Event("clock", self._number, received, detail=detail))
            return How.HISTORY if self._order.replayed(message.topic, time) else How.UNSOLICITED
        if message.duplicate:
            return How.HISTORY
        if self._draining:  # the broker hands out what it kept, without a word, as fast as it can
            if self._last_us and received - self._last_us >= self._pace_us:
                self._draining = False
            else:
                return How.HISTORY
        return How.UNSOLICITED

    # What the room tells.

    def broker_up(self, away_since: int | None, resumed: bool, now_us: int) -> None:
        """Say what was missed while the broker was away, and what can be seen of the device's session."""
        lost = not resumed or self.understood.connection.qos == 0
        if away_since is not None and lost:
            self.missed(away_since, now_us)
        self._draining, self._last_us = resumed and not lost, 0
        if self._status is None:
            self._session = "not observable"
            self._sink.event(
                Event("session_down", self._number, now_us, reason="mqtt.session-not-observable")
            )

    def missed(self, since: int, now_us: int) -> None:
        """Say that nothing was heard from `since` (µs) on, because the broker was away."""
        self._sink.event(Event("gap", self._number, since, now_us, "mqtt.broker-away"))

    def broker_down(self, reason: str, detail: dict[str, Any], now_us: int) -> None:
        """Say that nothing can come from the device now."""
        self._session = "down"
        self._count(reason)
        self._sink.event(Event("session_down", self._number, now_us, reason=reason, detail=dict(detail)))

    def refused(self, name: str, code: int, now_us: int) -> None:
        """Say that the broker does not let us hear the device."""
        self._count("mqtt.subscription-refused")
        detail = {"topic": name, "code": code}
        self._sink.event(
            Event("error", self._number, now_us, reason="mqtt.subscription-refused", detail=detail)
        )

    def documents(self) -> Iterator[tuple[str, Any]]:
        """Give the newest payload of each topic, decoded."""
        mapping = next(iter(self.understood.mappings.values()))
        return ((topic, mapping.document(payload)) for topic, payload in self._payloads.items())

    def report(self) -> Diagnostics:
        """Return the counters: `polls` are messages, `answers` those with live values."""
        self._report.session = self._session
        return self._report

    def _say_status(self, status: Status, message: Message) -> None:
        if status.word == "payload" and len(message.payload) > self.understood.connection.payload.max_bytes:
            self._say_error("mqtt.payload-unusable", message, f"{len(message.payload)} bytes")
            return
        if status.word == "topic":
            word = message.topic.rpartition("/")[2]
        else:
            word = message.payload.decode("utf-8", "replace").strip()
        if self._status_path is not None:
            try:
                read = _ANY.read(message.payload)
            except Rejected as error:
                self._say_error("mqtt.payload-unusable", message, str(error))
                return
            found = self._status_path.one(read.document)
            word = str(found).lower() if isinstance(found, bool) else str(found)
        if word == status.online:
            self._session = "up"
            self._sink.event(Event("session_up", self._number, message.received))
        elif word == status.offline:
            self._session = "down"
            self._sink.event(
                Event("session_down", self._number, message.received, reason="mqtt.status-offline")
            )
        else:
            self._say_error("mqtt.status-unknown", message, word[:100])

    def _say_answer(self, message: Message) -> None:
        """Say that the device is alive, at most once a second; a retained message shows nothing."""
        if not message.retain and message.received - self._answer_us >= _ANSWER_EVERY_US:
            self._answer_us = message.received
            self._sink.event(Event("answer", self._number, message.received))

    def _say_error(self, reason: str, message: Message, problem: str) -> None:
        self._count(reason)
        about = (reason, message.topic)
        if about != self._error or message.received - self._error_us >= _ERROR_EVERY_US:
            self._error, self._error_us = about, message.received
            detail = {"topic": message.topic[:200], "problem": problem[:200]}
            self._sink.event(Event("error", self._number, message.received, reason=reason, detail=detail))

    def _count(self, reason: str) -> None:
        self._report.errors[reason] = self._report.errors.get(reason, 0) + 1
        self._report.last_error = reason


_ANY = Mapping([])
"""Decodes without tags."""


def _values_of(record: Record, time: int, received: int) -> list[Value]:
    texts = dict(record.texts)
    bits = record.value.view(np.uint64)
    values = []
    for index in range(len(record.value)):
        position = record.first + index
        quality = int(record.quality[index]) if record.quality is not None else 0
        value: float | str | None = texts.get(position)
        if value is None and bits[index] != NULL_BITS:
            value = float(record.value[index])
        if value is not None or quality not in (Quality.GOOD, Quality.NOT_ANSWERED):
            values.append(Value(position, value, quality, time, received))
    return values
