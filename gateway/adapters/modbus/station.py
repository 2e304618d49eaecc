"""One device as the room sees it: what to ask, what came of it, and what was never acquired.

A poll that brings nothing opens a gap, from the instant it was sent (or was due) to the next answer. A gap that
lasts is listed piece by piece, in growing pieces, so that little of it is unlisted when the gateway is killed.
"""

from collections import deque
from typing import Any

from gateway.adapter import Diagnostics, Sink
from gateway.adapters.modbus.blocks import Block, plan, split
from gateway.adapters.modbus.config import Understood
from gateway.adapters.modbus.decode import Decoder
from gateway.adapters.modbus.pdu import (
    GATEWAY_EXCEPTIONS,
    ILLEGAL_ADDRESS,
    Refused,
    Request,
    Silence,
    Violation,
    read,
)
from muster.clock import Clock
from muster.device import Device
from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import How

_LATENCIES = 128
_FIRST_PIECE_US, _LONGEST_PIECE_US = 1_000_000, 60_000_000
_FIRST_BACKOFF_S = 1.0


class Station:
    """A device that is polled; itself the job of its poll, for a device has at most one in the queue."""

    def __init__(self, device: Device, understood: Understood, sink: Sink, clock: Clock) -> None:
        self.device = device
        self.understood = understood
        self.timeout_s = understood.connection.timeout_ms / 1000
        self.queued = False
        self.not_before = 0.0
        self.diagnostics = Diagnostics()
        self._sink = sink
        self._clock = clock
        self._number = device.number
        self._latency: deque[float] = deque(maxlen=_LATENCIES)
        self._backoff_s = 0.0
        self._error = ""
        self._gap_from: int | None = None
        self._gap_polls = 0
        self._gap_reason = ""
        self._piece_us = _FIRST_PIECE_US
        self._failed: dict[int, Quality] = {}
        self._refusal = ""
        self._resplit: list[int] = []
        self._at = 0
        self._sent_us = 0
        self._sent = 0.0
        start = understood.connection.window.start if understood.connection.window else 0
        self._compile(plan(understood.places, understood.connection.limits, start))

    def _compile(self, blocks: list[Block]) -> None:
        unit = self.understood.connection.unit
        self._blocks = blocks
        self._requests = [read(unit, block.table, block.start, block.count) for block in blocks]
        self._decoder = Decoder(blocks)

    # The poll, as a line's job.

    def begin(self) -> None:
        """Make ready for a poll; the line asks for its requests next."""
        self.queued = True
        self._at = 0
        self._sent_us = self._clock.now_us()
        self._failed.clear()
        self._resplit.clear()
        self._refusal = ""
        self.diagnostics.polls += 1

    def next(self) -> Request | None:
        """Return the next block's request."""
        if self._at == 0:
            self._sent_us = self._clock.now_us()
            self._sent = self._clock.monotonic()
        if self._at >= len(self._requests):
            return None
        return self._requests[self._at]

    def answer(self, values: bytes | memoryview) -> None:
        """Take a block's values."""
        begin, end = self._decoder.spans[self._at]
        self._decoder.image[begin:end] = values
        self._advance()

    def refuse(self, refused: Refused) -> None:
        """Take a block's refusal: its tags have no value in this poll, the other blocks go on."""
        if refused.code in GATEWAY_EXCEPTIONS:
            self.fail(Silence(refused.reason))
            self._at = len(self._requests)
            return
        self._failed[self._at] = Quality.REFUSED
        self._refusal = refused.reason
        self._count(refused.reason)
        if refused.code == ILLEGAL_ADDRESS and len(split(self._blocks[self._at])) > 1:
            self._resplit.append(self._at)
        self._advance()

    def fail(self, error: Violation | Silence) -> None:
        """End the poll without values."""
        self.queued = False
        self._count(error.reason)
        self._say_error(error.reason, dict(error.detail))
        self._miss(self._sent_us, error.reason)
        longest = self.understood.connection.backoff_max_s
        self._backoff_s = min(2 * self._backoff_s or _FIRST_BACKOFF_S, longest)
        self.not_before = self._clock.monotonic() + self._backoff_s

    @property
    def waiting_for(self) -> str:
        """Why it is not polled while it waits out its backoff."""
        return self._error or "modbus.timeout"

    def skip(self, reason: str) -> None:
        """Note a poll that was due and not even sent."""
        self._miss(self._clock.now_us(), reason)

    def _advance(self) -> None:
        self._at += 1
        if self._at == len(self._requests):
            self._finish()

    def _finish(self) -> None:
        now_us = self._clock.now_us()
        self.queued = False
        self._backoff_s = 0.0
        self._latency.append(1000 * (self._clock.monotonic() - self._sent))
        self.diagnostics.answers += 1
        if self._gap_from is not None:
            self._close_gap(now_us)
        decoded = self._decoder.decode(self._failed)
        self._sink.scan(
            self._number, now_us, now_us, self._decoder.first, decoded.value, decoded.quality, How.SOLICITED
        )
        for text in decoded.texts:
            self._sink.text(
                TextReading(self._number, text.position, now_us, now_us, text.value, text.quality)
            )
        if self._refusal:
            self._say_error(self._refusal, {})
        else:
            self._error = ""
            self.diagnostics.last_good = now_us
        if self._resplit:
            wanted = set(self._resplit)
            pieces = [split(block) if at in wanted else [block] for at, block in enumerate(self._blocks)]
            self._compile([block for piece in pieces for block in piece])
            self._at = len(self._requests)

    # What was never acquired.

    def _miss(self, from_us: int, reason: str) -> None:
        if self._gap_from is None:
            self._gap_from, self._piece_us = from_us, _FIRST_PIECE_US
        self._gap_polls += 1
        self._gap_reason = reason
        now_us = self._clock.now_us()
        if now_us - self._gap_from >= self._piece_us:
            self._list_gap(now_us)
            self._gap_from = now_us
            self._piece_us = min(2 * self._piece_us, _LONGEST_PIECE_US)

    def _close_gap(self, now_us: int) -> None:
        self._list_gap(now_us)
        self._gap_from = None

    def _list_gap(self, until_us: int) -> None:
        assert self._gap_from is not None
        if self._gap_polls or until_us > self._gap_from:
            self._sink.event(
                Event("gap", self._number, self._gap_from, until_us, self._gap_reason, polls=self._gap_polls)
            )
        self._gap_polls = 0

    def stop(self) -> None:
        """List what is still open, when the device is no longer polled."""
        if self._gap_from is not None:
            self._close_gap(self._clock.now_us())

    # What the room tells of the session.

    def session_up(self) -> None:
        """Say that a session began."""
        self.diagnostics.session = "up"
        self.not_before = 0.0
        self._backoff_s = 0.0
        self._sink.event(Event("session_up", self._number, self._clock.now_us()))

    def session_down(self, reason: str, detail: dict[str, int | str]) -> None:
        """Say that the session ended, or cannot be opened."""
        self.diagnostics.session = "down"
        self._error = reason
        self._count(reason)
        self._sink.event(
            Event("session_down", self._number, self._clock.now_us(), reason=reason, detail=dict(detail))
        )

    def identified(self, evidence: dict[str, Any], origin: str | None) -> None:
        """Say what the device says it is, once per change."""
        if evidence != self.diagnostics.identity:
            self.diagnostics.identity = evidence
            self._sink.event(
                Event("identity", self._number, self._clock.now_us(), detail=evidence, origin=origin)
            )

    def report(self) -> Diagnostics:
        """Return the counters, with the latencies of the last polls."""
        ordered = sorted(self._latency)
        if ordered:
            self.diagnostics.latency_ms_p50 = ordered[len(ordered) // 2]
            self.diagnostics.latency_ms_p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        return self.diagnostics

    def _count(self, reason: str) -> None:
        self.diagnostics.errors[reason] = self.diagnostics.errors.get(reason, 0) + 1
        self.diagnostics.last_error = reason

    def _say_error(self, reason: str, detail: dict[str, Any]) -> None:
        if reason != self._error:
            self._error = reason
            self._sink.event(Event("error", self._number, self._clock.now_us(), reason=reason, detail=detail))
