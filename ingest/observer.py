"""What one gateway did in one partition: its batches in order, its watches, the presence of its devices.

An observer moves forward batch by batch and says what is to be written; it reads and writes nothing itself.
When a transaction fails, its observers are thrown away and begun anew from the database.
"""

import hashlib
from dataclasses import dataclass, field
from enum import Enum

import msgspec
import numpy as np

from bus.envelope import Header
from ingest.intake import Accepted
from ingest.registry import Registry
from ingest.writes import (
    ClockRow,
    Gap,
    Identity,
    Memory,
    Presence,
    Session,
    SessionEnd,
    Stored,
    WatchRow,
    Writes,
)
from muster.clock import SECOND_US
from muster.events import Event
from muster.presence import Transition
from muster.watch import Watch

REMEMBER_EVERY_US = 10 * SECOND_US


class Place(Enum):
    """Where a batch stands after those stored before."""

    DUPLICATE = "duplicate"
    NEXT = "next"
    AFTER_LOSS = "after-loss"


@dataclass(slots=True)
class Observer:
    """One gateway in one partition.

    epoch, sequence: the last batch taken; watched_until: up to where it watched, in µs, None before the
    first. watch: the state of its devices, None when the next batch begins a new watch; watch_epoch: the
    gateway process that opened its sessions. identities: digest by device. remembered: the stream sequence
    after which the database remembers `watch`.
    """

    gateway: int
    partition: int
    stride: int
    registry: Registry
    epoch: int = -1
    sequence: int = 0
    watched_until: int | None = None
    watch: Watch | None = None
    row: WatchRow | None = None
    watch_epoch: int = -1
    identities: dict[int, bytes] = field(default_factory=dict)
    stream_sequence: int = 0
    remembered: int = 0
    remembered_us: int = 0
    registry_version: int = -1
    _remember_now: bool = False

    @property
    def enterprise(self) -> int | None:
        """The gateway's enterprise; None for the operator's."""
        return self.registry.gateways[self.gateway].enterprise

    @property
    def unremembered(self) -> bool:
        """Whether the stream is still needed to know where this observer stands."""
        return self.watch is not None and self.remembered < self.stream_sequence

    def place(self, header: Header) -> Place:
        """Tell where a batch stands."""
        if (header.epoch, header.sequence) <= (self.epoch, self.sequence):
            return Place.DUPLICATE
        follows = self.sequence + 1 if header.epoch == self.epoch else 1
        return Place.NEXT if header.sequence == follows else Place.AFTER_LOSS

    def pass_over(self, header: Header, stream_sequence: int, reason: str, writes: Writes) -> None:
        """Take note of a batch that went to quarantine for `reason`: nobody knows what it would have said."""
        place = self.place(header)
        if place is Place.DUPLICATE:
            return
        if place is Place.AFTER_LOSS:
            self._lost(header, writes)
        gap = Gap(
            self.enterprise,
            self.gateway,
            None,
            header.watched_from,
            max(header.watched_from, header.watched_until),
            "quarantined",
            None,
            {"reason": reason, "stream_sequence": stream_sequence},
        )
        writes.gaps.append(gap)
        self.epoch, self.sequence, self.stream_sequence = header.epoch, header.sequence, stream_sequence
        self.watch = None
        writes.forgotten.append(self.gateway)
        until = self.watched_until if self.watched_until is not None else header.watched_from
        writes.positions[self.gateway] = (self.epoch, self.sequence, until)

    def take(self, stored: Stored, watch_id: int, writes: Writes, lease_us: int) -> bool:
        """Move forward by one batch and say what is to be written; False when it was stored before.

        watch_id: a number for a new row of `watch`, should one be needed.
        """
        accepted, header = stored.accepted, stored.accepted.batch.header
        place = self.place(header)
        if place is Place.DUPLICATE:
            return False
        if place is Place.AFTER_LOSS:
            self._lost(header, writes)
        contiguous = self._continues(header, place)
        transitions = self._move(accepted, place, writes)
        self._extend(header, contiguous, watch_id, writes, lease_us)
        assert self.row is not None
        enterprise = self.registry.enterprise
        writes.presence += [
            Presence(int(enterprise[t.device]), self.gateway, self.row.span, t) for t in transitions
        ]
        self._events(header, writes)
        writes.batches.append(stored)
        writes.positions[self.gateway] = (header.epoch, header.sequence, header.watched_until)
        if header.stopping:
            self.watch = None
            writes.forgotten.append(self.gateway)
        return True

    def replay(self, accepted: Accepted) -> None:
        """Move forward by a batch that was stored before, writing nothing."""
        self.registry_version = self.registry.version
        place = self.place(accepted.batch.header)
        if place is not Place.DUPLICATE:
            self._move(accepted, place, None)
            if accepted.batch.header.stopping:
                self.watch = None

    def remember(self, writes: Writes, *, all_of_it: bool = False) -> None:
        """Write down where the watch stands when that is due, or at once with `all_of_it`."""
        due = self._remember_now or writes.recorded_us - self.remembered_us >= REMEMBER_EVERY_US
        if self.watch is None or not self.unremembered or not (due or all_of_it):
            return
        body = self.watch.to_bytes()
        writes.memories.append(Memory(self.gateway, self.stream_sequence, self.epoch, self.sequence, body))
        self.remembered, self.remembered_us = self.stream_sequence, writes.recorded_us
        self._remember_now = False

    def _continues(self, header: Header, place: Place) -> bool:
        """Tell whether the gateway has watched without a break since the batch before."""
        return place is Place.NEXT and self.watch is not None and header.watched_from == self.watched_until

    def _move(self, accepted: Accepted, place: Place, writes: Writes | None) -> list[Transition]:
        """Move the watch forward; return what changed."""
        header, scans = accepted.batch.header, accepted.batch.scans
        begun: list[Transition] = []
        if not self._continues(header, place):
            if self.watch is not None and place is Place.NEXT and header.epoch == self.epoch:
                self.watch, begun = self.watch.resume(header.watched_from)
            else:
                self.watch = Watch(header.watched_from)
                if writes is not None and self.watched_until is not None:
                    self._sessions_died(header, min(self.watched_until, header.watched_from), writes)
            self.watch_epoch = header.epoch
            self.registry_version = -1
            self._remember_now = True
        assert self.watch is not None
        begun += self._know_devices(self.watch, accepted)
        moved = self.watch.advance(scans, header.events, header.watched_until)
        self.epoch, self.sequence = header.epoch, header.sequence
        self.watched_until = header.watched_until
        self.stream_sequence = accepted.message.stream_sequence
        return begun + moved

    def _know_devices(self, watch: Watch, accepted: Accepted) -> list[Transition]:
        """Keep every device that the gateway is to watch or speaks of; let go of those it lost."""
        registry, gone = self.registry, list[Transition]()
        if self.registry_version != registry.version:
            own = registry.devices_of(self.gateway, self.partition, self.stride)
            if watch.keep(own, registry.window_us[own]):
                self._remember_now = True
            gone = watch.release(np.setdiff1d(watch.devices(), own))
            self._remember_now |= bool(gone)
            self.registry_version = registry.version
        spoken = [accepted.batch.scans.device]
        if accepted.batch.header.events:
            spoken.append(np.array([e.device for e in accepted.batch.header.events if e.device], np.int32))
        for device in spoken:
            others = watch.unknown(device)
            if len(others):
                watch.keep(others, registry.window_us[others])
                self._remember_now = True
        return gone

    def _extend(self, header: Header, contiguous: bool, watch_id: int, writes: Writes, lease_us: int) -> None:
        """Let the row of `watch` grow, or begin a new one (in the same span when there was no break)."""
        now, row = writes.recorded_us, self.row
        live = now - header.watched_until < lease_us
        if row is not None and contiguous and not row.ended and row.epoch == header.epoch:
            in_time = row.live and live and 0 <= now - row.recorded_to <= lease_us
            same_transaction = not row.stored and row.live == live
            if in_time or same_transaction:
                row.valid_to, row.recorded_to, row.ended = header.watched_until, now, header.stopping
                writes.watches[row.id] = row
                return
        span = row.span if row is not None and contiguous else watch_id
        self.row = writes.watches[watch_id] = WatchRow(
            watch_id,
            span,
            self.gateway,
            self.enterprise,
            header.epoch,
            header.watched_from,
            header.watched_until,
            now,
            live,
            header.stopping,
        )

    def _lost(self, header: Header, writes: Writes) -> None:
        """Record batches that the gateway made and that never came."""
        since = header.watched_from if self.watched_until is None else self.watched_until
        first = self.sequence + 1 if header.epoch == self.epoch else 1
        detail = {"epoch": header.epoch, "first": first, "last": header.sequence - 1}
        gap = Gap(
            self.enterprise,
            self.gateway,
            None,
            min(since, header.watched_from),
            header.watched_from,
            "stream-lost",
            None,
            detail,
        )
        writes.gaps.append(gap)
        self.watch = None

    def _events(self, header: Header, writes: Writes) -> None:
        for event in header.events:
            match event.kind:
                case "gap":
                    writes.gaps.append(self._gap(event))
                case "identity" if event.device:
                    self._identity(event, writes)
                case "clock" if event.device:
                    enterprise = int(self.registry.enterprise[event.device])
                    writes.clocks.append(ClockRow(enterprise, self.gateway, event))
                case "session_up" if event.device:
                    self._session_ended(event, "session-replaced", writes)
                    enterprise = int(self.registry.enterprise[event.device])
                    session = Session(enterprise, event.device, self.gateway, self.watch_epoch, event.at)
                    writes.sessions.append(session)
                    writes.opened[self.gateway, event.device] = session
                case "session_down" | "removed" if event.device:
                    self._session_ended(event, event.reason or event.kind.replace("_", "-"), writes)
                case _:
                    continue

    def _session_ended(self, event: Event, reason: str, writes: Writes) -> None:
        session = writes.opened.pop((self.gateway, event.device), None)
        if session is None:
            writes.session_ends.append(SessionEnd(self.gateway, event.device, event.at, reason))
        else:
            session.closed_us, session.reason = max(event.at, session.opened_us), reason

    def _sessions_died(self, header: Header, until: int, writes: Writes) -> None:
        """Close what gateway processes before this one left open."""
        reason = "gateway-down"
        writes.session_ends.append(SessionEnd(self.gateway, 0, until, reason, header.epoch))
        for key, session in list(writes.opened.items()):
            if key[0] == self.gateway and session.epoch < header.epoch:
                session.closed_us, session.reason = max(until, session.opened_us), reason
                del writes.opened[key]

    def _gap(self, event: Event) -> Gap:
        until = event.at if event.until is None else event.until
        enterprise = int(self.registry.enterprise[event.device]) if event.device else self.enterprise
        return Gap(
            enterprise,
            self.gateway,
            event.device or None,
            min(event.at, until),
            max(event.at, until),
            event.reason or "gap",
            event.polls,
            event.detail,
        )

    def _identity(self, event: Event, writes: Writes) -> None:
        said = {"evidence": event.detail, "origin": event.origin}
        digest = hashlib.sha256(msgspec.json.encode(said, order="deterministic")).digest()
        if self.identities.get(event.device) != digest:
            self.identities[event.device] = digest
            enterprise = int(self.registry.enterprise[event.device])
            writes.identities.append(Identity(enterprise, self.gateway, event, digest))
