"""The recorder: beats, cuts slots for the journal, seals them into the outbox, and owns the watch.

It beats when `pulse` says, and cuts a slot that holds nothing only for a seal. A seal of nothing waits until partitions
must be heard from, so that what comes meanwhile is sealed as it is cut. Sealing runs in a thread, one at a time,
because it waits for the disk. When the outbox is full or the disk refuses, rooms are told to stop. What still
arrives shortly after is kept; then the watch ends, and when there is room again a new one begins with the gap
recorded. What cannot be sealed stays in memory, bounded, and is written first, with the bytes that its batches
already had. The same holds for a slot of which a room cannot write yet what must stand before it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from gateway.collector import Collector
from gateway.outbox.journal import Journal
from gateway.outbox.store import Outbox
from gateway.pulse import Pulse
from gateway.recovery import gap
from gateway.sealing import HEARTBEAT_US, Seal, Sealer
from gateway.slots import Notice, Slot
from gateway.watch import Watch
from muster.clock import SECOND_US, Clock
from muster.errors import Backpressure

_log = structlog.get_logger()

GRACE_S = 2.0
"""How long answers already asked for are still kept after rooms were told to stop."""

RETRY_S = 1.0
"""How often a disk that refused is tried again."""

SLOW_SEAL_S = 5.0
"""A seal that waits longer for the disk counts as refused."""

MOST_PENDING_BYTES = 64 << 20
"""More than this unsealed in memory counts as refused, too."""

MOST_WAITING_SLOTS = 100
"""The same for slots that the journal has not written."""

LOOK_S = 0.05
"""How often a seal is looked at that still runs when the next one is due."""

EARLY_S = 0.002
"""A seal may begin this early: the event loop's timers are exact to a millisecond."""

HEARTBEAT_S = HEARTBEAT_US / SECOND_US + 2 * EARLY_S
"""A seal of nothing is made this long after the one before: by then its partitions' heartbeats are due."""

SLIP_SHARE = 0.9
"""Where the process woke only to seal the one slot since the last seal, the next seal is so much nearer: what comes
steadily then soon finds a seal of nothing waiting, and from there on both are done in one waking."""

RESUME_SHARE = 0.8
"""A full outbox is taken up again when it is this empty."""


class Recorder:
    """Everything between the rooms' sink and the outbox."""

    def __init__(
        self,
        collector: Collector,
        sealer: Sealer,
        outbox: Outbox,
        journal: Journal,
        clock: Clock,
        seal_interval_s: float,
        on_sealed: Callable[[], None],
    ) -> None:
        self.collector = collector
        self.seals = 0
        self.trouble: str | None = None
        self._on_sealed = on_sealed
        self._sealer = sealer
        self._outbox = outbox
        self._journal = journal
        self._clock = clock
        self._seal_interval_s = seal_interval_s
        self._watch = Watch(clock.now_us(), clock.monotonic())
        self._cut: deque[Slot] = deque()
        """Slots that may not become durable yet."""
        self._pending: list[Slot] = []
        self._pending_bytes = 0
        self._unwritten: deque[Seal] = deque()
        self._thread = ThreadPoolExecutor(1, "seal")
        self._sealing: asyncio.Future[None] | None = None
        self._sealing_since = 0.0
        self._seal_at = clock.monotonic() + seal_interval_s
        self._refused = False
        self._through = collector.sealed
        self._failure: BaseException | None = None
        self._trouble_at_us = 0
        self._trouble_since = 0.0

    def begin(self, notices: Sequence[Notice] = ()) -> None:
        """Begin to watch, and say `notices` first."""
        self._watch = Watch(self._clock.now_us(), self._clock.monotonic())
        self.collector.begin(self._clock.now_us())
        for notice in notices:
            self.collector.notice(notice)

    async def run(self, stop: asyncio.Event, interval_s: float) -> None:
        """Beat until `stop` is set; what is put is cut within `interval_s`."""
        pulse = Pulse(self.beat, interval_s)
        self.collector.on_first, self.collector.on_lull = pulse.stir, pulse.lull
        await pulse.run(stop)

    def beat(self) -> float:
        """Cut a slot that holds something, start a seal when one is due, and see whether rooms may go on.

        Returns in how many seconds the next beat must be at the latest.
        """
        if self._failure is not None:
            raise self._failure
        now_us, monotonic_s = self._clock.now_us(), self._clock.monotonic()
        self._pass_on()
        broken = self._watch.beat(now_us, monotonic_s)
        due = monotonic_s >= self._next_seal() - EARLY_S
        alone = self.collector.idle and len(self._pending) == 1
        if self.collector.watching:
            self._say_losses()
            if broken is not None:
                _log.warning("watch-broken", reason=broken.reason, moved_us=broken.moved_us)
                self._keep(self.collector.part(broken))
            elif due or not self.collector.idle:
                self._keep(self.collector.cut(now_us))
        if self._sealing is None and due:
            if self._pending or self._unwritten or self._outbox.unsettled:
                self._start_seal(monotonic_s, self._seal_interval_s * (SLIP_SHARE if alone else 1.0))
            else:
                self._seal_at = monotonic_s + self._seal_interval_s
        self._judge(now_us, monotonic_s)
        return max(self._next_seal() - monotonic_s, LOOK_S)

    def end(self) -> None:
        """End the watch; whatever rooms still acquire lies in the gap that the next start says."""
        if self.collector.watching:
            self._keep(self.collector.end(self._clock.now_us()))

    async def finish(self) -> None:
        """Seal what is left as the last of this epoch, as far as the disk takes it."""
        if self._sealing is not None:
            await asyncio.wait([self._sealing])
        self._pass_on()
        if self._cut:
            _log.error("final-slots-refused", slots=len(self._cut))
        slots, self._pending = self._pending, []
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._seal, slots, True)
        except Backpressure as error:
            _log.error("final-seal-refused", error=str(error))
        self._on_sealed()

    def close(self) -> None:
        """End both threads; afterwards nothing writes into the outbox's folder."""
        self._thread.shutdown()
        self._journal.close()

    def _keep(self, slot: Slot) -> None:
        self._cut.append(slot)
        self._pass_on()

    def _pass_on(self) -> None:
        """Give what was cut to the journal, unless a room must write something down before and cannot."""
        while self._cut and self.collector.may_be_durable():
            slot = self._cut.popleft()
            self._journal.put(slot)
            self._pending.append(slot)
            self._pending_bytes += slot.size

    def _say_losses(self) -> None:
        while self._outbox.damage.losses:
            loss = self._outbox.damage.losses.pop()
            _log.error("outbox-damaged", partition=loss.partition, at=loss.at, until=loss.until)
            self.collector.notice(Notice(loss.partition, gap("outbox-damaged", loss.at, loss.until)))

    def _next_seal(self) -> float:
        """Return when a seal is due; one of nothing is when the partitions' heartbeats are."""
        if self._pending or self._unwritten or not self.collector.idle:
            return self._seal_at
        return max(self._seal_at, self._sealing_since + HEARTBEAT_S)

    def _start_seal(self, monotonic_s: float, next_s: float) -> None:
        slots, self._pending, self._pending_bytes = self._pending, [], 0
        self._sealing_since = monotonic_s
        self._seal_at = max(self._seal_at, monotonic_s - LOOK_S) + next_s
        self._sealing = asyncio.get_running_loop().run_in_executor(self._thread, self._seal, slots, False)
        self._sealing.add_done_callback(self._end_seal)

    def _seal(self, slots: Sequence[Slot], stopping: bool) -> None:
        """Work of the sealing thread, which also writes down what the bus has taken meanwhile."""
        try:
            self._outbox.settle()
        except OSError as error:
            _log.error("outbox-unwritable", error=str(error))
        self._unwritten.extend(self._sealer.seal(slots, self._clock.now_us(), stopping=stopping))
        while self._unwritten:
            seal = self._unwritten[0]
            if seal.batches:
                self._outbox.append(seal.through, seal.batches)
                self._journal.sealed(seal.through)
                self._through = seal.through
                self.seals += 1
            self._unwritten.popleft()

    def _end_seal(self, sealing: asyncio.Future[None]) -> None:
        self._sealing = None
        if sealing.cancelled():
            return
        error = sealing.exception()
        self._refused = error is not None
        self.collector.tell_sealed(self._through)
        if error is None:
            self._on_sealed()
        elif isinstance(error, Backpressure):
            self._seal_at = self._clock.monotonic() + RETRY_S
            _log.error("seal-refused", error=str(error))
        else:
            self._failure = error

    def _judge(self, now_us: int, monotonic_s: float) -> None:
        """Tell rooms to stop, end the watch, or take both up again."""
        trouble = self._find_trouble(monotonic_s)
        if trouble is not None and self.trouble is None:
            self._trouble_at_us, self._trouble_since = now_us, monotonic_s
            self.collector.full = True
            self.trouble = trouble
            _log.error("acquisition-paused", reason=trouble)
        elif trouble is not None and self.collector.watching:
            if monotonic_s - self._trouble_since > GRACE_S:
                self._keep(self.collector.end(now_us))
        elif trouble is None and self.trouble is not None:
            if not self.collector.watching:
                self.collector.begin(now_us)
            self.collector.notice(Notice(None, gap(self.trouble, self._trouble_at_us, now_us)))
            self.collector.full = False
            _log.warning("acquisition-resumed", after=self.trouble)
            self.trouble = None

    def _find_trouble(self, monotonic_s: float) -> str | None:
        slow = self._sealing is not None and monotonic_s - self._sealing_since > SLOW_SEAL_S
        waiting = self._pending_bytes > MOST_PENDING_BYTES or self._journal.waiting > MOST_WAITING_SLOTS
        if self._refused or self._cut or slow or waiting:
            return "outbox-unwritable"
        share = RESUME_SHARE if self.trouble == "outbox-full" else 1.0
        if self._outbox.size >= share * self._outbox.limit_bytes:
            return "outbox-full"
        return None
