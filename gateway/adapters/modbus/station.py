"""One device as the room sees it: what to ask, what came of it, and what was never acquired.

A station is itself the job of its poll: a device has at most one in its line's queue. The poll's answers are laid into
an image; the last one makes a scan, or goes into the harvest (`harvest.py`) where it is the only one and nothing is
amiss. Where only some of a poll's blocks were answered, the scan says so by its qualities; where none was, the poll is
a gap (`gaps.py`).
"""

import math
from array import array
from collections.abc import Callable
from typing import Any

from gateway.adapter import Diagnostics, Sink
from gateway.adapters.modbus.blocks import Block, plan, split
from gateway.adapters.modbus.config import Understood
from gateway.adapters.modbus.decode import Decoders, Text
from gateway.adapters.modbus.gaps import Gaps
from gateway.adapters.modbus.harvest import Harvest
from gateway.adapters.modbus.line import Line
from gateway.adapters.modbus.pdu import (
    DEVICE_FAILURE,
    GATEWAY_EXCEPTIONS,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    Refused,
    Silence,
    Violation,
    read,
)
from gateway.adapters.modbus.rest import Rest
from muster.clock import Clock
from muster.device import Device
from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import How

_LATENCIES = 64
"""How many of the last answers' latencies are kept; a power of two."""
_PLAN_KEPT_S = 3600.0
"""After this long a plan that refusals took apart is tried whole again: the device may have been starting up."""
_IDENTIFY_EVERY_S = 60.0
"""A device is asked what it is at most this often, however often its session ends."""
_SUSPICIOUS_FAILURES = 3
"""After this many polls in a row without an answer, what answers next may be another machine."""


class Station:
    """A polled device.

    rest: shared by all stations of one unit. again: asks for a poll beside the schedule. identify: asks
    for its identity beside the polls. number: the device's; last_good: when it last answered, in µs since 1970.
    """

    repeatable = True
    __slots__ = (
        "_again",
        "_answers",
        "_at",
        "_blocks",
        "_clock",
        "_count",
        "_decoder",
        "_decoders",
        "_due_us",
        "_error",
        "_errors",
        "_failed",
        "_failures",
        "_gaps",
        "_harvest",
        "_identified_at",
        "_identify",
        "_image",
        "_last_error",
        "_latencies",
        "_line",
        "_planned",
        "_polls",
        "_queued",
        "_refusal",
        "_requests",
        "_rest",
        "_sink",
        "_spans",
        "_split_at",
        "_to_split",
        "_troubled",
        "device",
        "identify_at",
        "identity",
        "last_good",
        "number",
        "request",
        "silent_until",
        "timeout_s",
        "understood",
    )  # more attributes than CPython shares a layout for: without slots each station would have a hash table of them

    def __init__(
        self,
        device: Device,
        understood: Understood,
        line: Line,
        rest: Rest,
        sink: Sink,
        clock: Clock,
        again: Callable[[int], None],
        identify: "Callable[[Station], None]",
        harvest: Harvest,
        decoders: Decoders,
    ) -> None:
        self.device = device
        self.understood = understood
        self.timeout_s = understood.connection.timeout_ms / 1000
        self.identity: dict[str, Any] = {}
        self.identify_at = math.inf
        """When the device should be asked what it is, by the loop's clock in seconds."""
        self.silent_until = 0.0
        """Until then it is not asked for its device identification, because it did not answer."""
        self._identified_at = -math.inf
        self._line = line
        self._rest = rest
        self._sink = sink
        self._clock = clock
        self._again = again
        self._identify = identify
        self._harvest = harvest
        self._decoders = decoders
        self.number = device.number
        self._queued = False
        self._planned = False
        self._due_us = 0
        self._polls = 0
        self._answers = 0
        self._latencies = array("f", bytes(4 * _LATENCIES))
        self._errors: dict[str, int] = {}
        self._error = ""
        self._last_error = ""
        self.last_good: int | None = None
        self._troubled = False
        self._failures = 0
        self._failed: dict[int, Quality] = {}
        self._refusal = ""
        self._to_split: list[int] = []
        self._split_at: float | None = None
        self._gaps = Gaps(self._list_gap)
        self._compile(self._whole_plan())

    def _whole_plan(self) -> list[Block]:
        connection = self.understood.connection
        start = connection.window.start if connection.window else 0
        return plan(self.understood.places, connection.limits, start)

    def _compile(self, blocks: list[Block]) -> None:
        unit = self.understood.connection.unit
        self._blocks = blocks
        self._requests = [read(unit, block.table, block.start, block.count) for block in blocks]
        self._decoder = self._decoders.of(blocks)
        self._image = bytearray(self._decoder.size)
        self._spans = self._decoder.spans
        self._count = len(blocks)
        self._at = 0
        self.request = self._requests[0]

    # The poll.

    def due(self, now: float, now_us: int, missed: int) -> None:
        """Poll, or note why not; `missed` polls before it came too late, -1: this one is beside the schedule.

        now: the loop's time in seconds; now_us: µs since 1970.
        """
        line = self._line
        planned = missed >= 0
        if missed > 0:
            late_us = round(missed * self.device.interval_s * 1e6)
            self._troubled = True
            self._gaps.miss(now_us - late_us, now_us, "gateway-late", missed)
        if self._queued:
            if planned:
                self._troubled = True
                self._gaps.hold(now_us, "modbus.slow" if line.serving(self) else "modbus.line-busy")
            return
        if not line.open:
            self._skip(now_us, line.reason, planned)
            return
        if now < self._rest.until:
            self._skip(now_us, self._rest.reason, planned)
            return
        if self._split_at is not None and now > self._split_at + _PLAN_KEPT_S:
            self._split_at = None
            self._compile(self._whole_plan())
        if now >= self.identify_at and line.connected:
            self._identify(self)
        self._queued, self._planned, self._due_us = True, planned, now_us
        self._polls += 1
        line.put(self, now)

    def answer(self, values: bytes | memoryview) -> bool:
        """Take a block's values; return whether there is another block to ask for."""
        if self._count == 1 and not self._troubled:
            self._note_latency()
            self._answers += 1
            self._queued = False
            self._harvest.add(self, self._decoder, bytes(values))
            return False
        begin, end = self._spans[self._at]
        self._image[begin:end] = values
        return self._advance()

    def refuse(self, refused: Refused) -> bool:
        """Take a block's refusal: its tags have no value in this poll, the other blocks go on."""
        if refused.code in GATEWAY_EXCEPTIONS:
            self.fail(Silence(refused.reason))
            return False
        broken = refused.code == DEVICE_FAILURE
        self._failed[self._at] = Quality.DEVICE_FAILURE if broken else Quality.REFUSED
        self._refusal = refused.reason
        self._troubled = True
        self._count_error(refused.reason)
        if refused.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE) and len(split(self._blocks[self._at])) > 1:
            self._to_split.append(self._at)
        return self._advance()

    def fail(self, error: Violation | Silence) -> None:
        """End the poll; what was answered before is kept."""
        now_us = self._clock.now_us()
        self._troubled = True
        self._count_error(error.reason)
        answered = self._at - len(self._failed)
        if answered > 0:
            for index in range(self._at, self._count):
                self._failed[index] = Quality.NOT_ANSWERED
            self._refusal = error.reason
            self._finish(now_us, dict(error.detail))
        else:
            self._reset()
            self._say_error(error.reason, dict(error.detail), now_us)
            self._miss(self._due_us, now_us, error.reason, self._planned)
        # one failure of a device that has its numbered connection to itself says nothing yet, and costs nobody
        free = 1 if self._line.alone and self._line.numbered else 0
        self._rest.reason = error.reason
        self._rest.extend(self._line.now(), self.understood.connection.backoff_max_s, free)

    def _skip(self, now_us: int, reason: str, planned: bool) -> None:
        """Note a poll that was due and not even sent."""
        self._troubled = True
        self._miss(now_us, now_us, reason, planned)

    def _miss(self, from_us: int, now_us: int, reason: str, planned: bool) -> None:
        self._failures += 1
        self._gaps.miss(from_us, now_us, reason, 1 if planned else 0)
        self._again(self.number)

    def _advance(self) -> bool:
        self._at += 1
        if self._at < self._count:
            self.request = self._requests[self._at]
            return True
        self._note_latency()
        self._finish(self._clock.now_us(), {})
        return False

    def _note_latency(self) -> None:
        line = self._line
        self._latencies[self._answers & (_LATENCIES - 1)] = line.now() - line.sent_at

    def tell(self, image: bytes | bytearray, now_us: int) -> None:
        """Put the scan of a poll whose answers are laid out in `image`."""
        value, quality, texts = self._decoder.decode(image, self._failed)
        self._sink.scan(self.number, now_us, now_us, self._decoder.first, value, quality, How.SOLICITED)
        if texts:
            self._send_texts(texts, now_us)
        if len(self._failed) < self._count:
            self.last_good = now_us

    def _finish(self, now_us: int, detail: dict[str, Any]) -> None:
        self.tell(self._image, now_us)
        self._answers += 1
        if self._troubled:
            self._recover(now_us, detail)
        self._reset()

    def _reset(self) -> None:
        """Be ready for the next poll."""
        self._queued = False
        self._at = 0
        self.request = self._requests[0]

    def _recover(self, now_us: int, detail: dict[str, Any]) -> None:
        """Settle what was wrong before this answer, or was partly wrong with it."""
        self._gaps.end(now_us)
        self._rest.clear()
        if self._failures >= _SUSPICIOUS_FAILURES:
            self._ask_identity()
        self._failures = 0
        if self._refusal:
            self._say_error(self._refusal, detail, now_us)
        else:
            self._error = ""
            self._troubled = False
        self._refusal = ""
        self._failed.clear()
        if self._to_split:
            wanted = set(self._to_split)
            self._to_split.clear()
            pieces = [split(block) if at in wanted else [block] for at, block in enumerate(self._blocks)]
            self._compile([block for piece in pieces for block in piece])
            self._split_at = self._line.now()

    def _send_texts(self, texts: list[Text], now_us: int) -> None:
        for text in texts:
            self._sink.text(TextReading(self.number, text.position, now_us, now_us, text.value, text.quality))

    # What the room tells.

    def session_up(self) -> None:
        """Say that a session began."""
        self._rest.clear()
        self._ask_identity()
        self._sink.event(Event("session_up", self.number, self._clock.now_us()))

    def session_down(self, reason: str, detail: dict[str, int | str]) -> None:
        """Say that the session ended, or cannot be opened."""
        self._error = reason
        self._troubled = True
        self._count_error(reason)
        self._sink.event(
            Event("session_down", self.number, self._clock.now_us(), reason=reason, detail=dict(detail))
        )

    def _ask_identity(self) -> None:
        """Ask it what it is, soon: it may be another machine now."""
        self.identify_at = max(self._line.now(), self._identified_at + _IDENTIFY_EVERY_S)

    def identifying(self) -> None:
        """Note that it is being asked."""
        self.identify_at = math.inf
        self._identified_at = self._line.now()

    def identified(self, evidence: dict[str, Any], origin: str | None) -> None:
        """Say what the device says it is, once per change."""
        if evidence != self.identity:
            self.identity = evidence
            self._sink.event(
                Event("identity", self.number, self._clock.now_us(), detail=evidence, origin=origin)
            )

    def stop(self, reason: str) -> None:
        """List what is still open, when the device is no longer polled."""
        now_us = self._clock.now_us()
        if self._queued:
            self._line.withdraw(self)
            self._gaps.miss(self._due_us, now_us, reason, 1 if self._planned else 0)
        self._gaps.end(now_us)

    def report(self) -> Diagnostics:
        """Return the counters, with the latencies of the last answers."""
        kept = sorted(self._latencies[: min(self._answers, _LATENCIES)])
        return Diagnostics(
            session="up" if self._line.connected else "down",
            polls=self._polls,
            answers=self._answers,
            errors=dict(self._errors),
            last_good=self.last_good,
            last_error=self._last_error,
            latency_ms_p50=1000 * kept[len(kept) // 2] if kept else None,
            latency_ms_p99=1000 * kept[len(kept) * 99 // 100] if kept else None,
            identity=self.identity,
        )

    def _count_error(self, reason: str) -> None:
        self._errors[reason] = self._errors.get(reason, 0) + 1
        self._last_error = reason

    def _say_error(self, reason: str, detail: dict[str, Any], now_us: int) -> None:
        if reason != self._error:
            self._error = reason
            self._sink.event(Event("error", self.number, now_us, reason=reason, detail=detail))

    def _list_gap(self, from_us: int, until_us: int, reason: str, polls: int) -> None:
        self._sink.event(Event("gap", self.number, from_us, until_us, reason, polls=polls))
