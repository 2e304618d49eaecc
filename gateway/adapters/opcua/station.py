"""One device as the room sees it: its changes and answers become scans, its silences gaps."""

from collections.abc import Iterable
from typing import Any

from asyncua import ua

from gateway.adapter import Diagnostics, Sink
from gateway.adapters.opcua.config import Place, Understood
from gateway.adapters.opcua.decode import Groups, decode, time_of
from gateway.adapters.opcua.structures import Structures
from muster.clock import Clock
from muster.device import Device, ReportMode
from muster.events import Event, TextReading
from muster.presence import Definition
from muster.scans import How

ANSWER_EVERY_US = 4_000_000


class Station:
    """A watched device.

    read_every_s: how often it is read, or None where its notifications suffice. structures: those of its session.
    """

    def __init__(self, device: Device, understood: Understood, sink: Sink, clock: Clock) -> None:
        self.device = device
        self.understood = understood
        self.next_read = 0.0
        window_s = Definition().window_us(device.interval_s) / 1e6
        self.read_every_s: float | None = {
            ReportMode.POLLED: device.interval_s,
            ReportMode.ON_CHANGE: window_s / 2,
        }.get(device.report_mode)
        self.offset_us: int | None = None
        self.structures: Structures | None = None
        self.sink = sink
        self._read_time = understood.connection.time == "read"
        self._clock = clock
        self._told = Diagnostics()
        self._alive: int | None = None
        self._error = ""

    def take(self, changes: Iterable[tuple[Place, ua.DataValue]], received: int, how: How) -> None:
        """Put changes (or a read's answers) received at `received` µs, one scan for each source time."""
        if self.sink.full:
            return  # the gateway itself lists the gap of a full outbox
        number = self.device.number
        groups, good = Groups(), False
        for place, data in changes:
            decoded = decode(data, place, self.structures)
            time = received if self._read_time else time_of(data, received)
            groups.add(time, place.tag.position, decoded)
            if decoded.text is not None:
                self.sink.text(
                    TextReading(
                        number, place.tag.position, time, received, decoded.text, int(decoded.quality)
                    )
                )
            good = good or decoded.quality == 0
        for time, first, value, quality in groups.scans():
            self.sink.scan(number, time, received, first, value, quality, how)
        self.answered(received, good)

    def answered(self, received: int, good: bool) -> None:
        """Note that values came at `received` µs, and whether any of them is Good."""
        if good:
            self._told.last_good = received
        self._told.answers += 1
        self._alive = received
        self._error = ""

    def alive(self, at: int) -> None:
        """Note that the server answered at `at` µs, though perhaps without a value of this device."""
        if self._alive is None or at - self._alive >= ANSWER_EVERY_US:
            self.sink.event(Event("answer", self.device.number, at))
        self._alive = at if self._alive is None else max(at, self._alive)

    def missed(self, since: int | None, until: int, reason: str) -> None:
        """List what the server had and we did not get, from `since` µs (else what came last) to `until`."""
        begin = since if since is not None else until if self._alive is None else self._alive
        self.sink.event(Event("gap", self.device.number, begin, until, reason))
        self.count_error(reason)

    def up(self) -> None:
        """Say that a session began, and list what was not acquired before it."""
        now = self._clock.now_us()
        if self._alive is not None:
            self.sink.event(
                Event("gap", self.device.number, self._alive, now, self._error or "opcua.connection-lost")
            )
        self._told.session = "up"
        self._alive = now
        self.offset_us = None
        self._error = ""
        self.sink.event(Event("session_up", self.device.number, now))

    def down(self, reason: str, detail: dict[str, Any]) -> None:
        """Say that the session ended, or why none can be opened; once for each reason."""
        if self._told.session == "up" or reason != self._error:
            now = self._clock.now_us()
            self.sink.event(Event("session_down", self.device.number, now, reason=reason, detail=detail))
        self._told.session = "down"
        self.count_error(reason)
        self._error = reason

    def count_error(self, reason: str) -> None:
        """Count a failure."""
        self._told.errors[reason] = self._told.errors.get(reason, 0) + 1
        self._told.last_error = reason

    def clock_measured(self, offset_us: int, accuracy_us: int) -> None:
        """Say how the server's clock differs from ours, when that is news."""
        if self.offset_us is None or abs(offset_us - self.offset_us) > 100_000:
            self.offset_us = offset_us
            detail = {"offset_us": offset_us, "accuracy_us": accuracy_us}
            self.sink.event(Event("clock", self.device.number, self._clock.now_us(), detail=detail))

    def identified(self, facts: dict[str, Any], origin: str | None) -> None:
        """Say what the device says it is, once per change."""
        if facts != self._told.identity:
            self._told.identity = facts
            now = self._clock.now_us()
            self.sink.event(Event("identity", self.device.number, now, detail=facts, origin=origin))

    def stop(self, reason: str) -> None:
        """List what is still open, when the device is no longer watched."""
        if self._told.session == "down" and self._alive is not None:
            self.sink.event(
                Event("gap", self.device.number, self._alive, self._clock.now_us(), reason=reason)
            )

    def report(self) -> Diagnostics:
        """Return the counters."""
        return self._told
