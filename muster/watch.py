"""One watch: the devices of one partition that one gateway watches without a break, and the state of each.

Devices are rows of numpy columns; a batch moves them all forward to the instant up to which its gateway
watched. The state at an instant follows from what arrived until then (`muster.presence`), wherever batches
were cut: that is what the property tests hold it against. Whether anybody watched at all is not decided here.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from muster.errors import IntegrityError
from muster.events import Event
from muster.presence import NEVER, State, Transition, fresh
from muster.scans import How, Scans
from muster.standing import (
    ANSWER,
    ANSWERED,
    CONNECTED,
    ERROR,
    GOOD,
    REMOVED,
    RESPONDING,
    SESSION_DOWN,
    SESSION_UP,
    UNOBSERVED,
    Standing,
)


class Watch:
    """The devices that one gateway watches in one partition, since one watch began."""

    def __init__(self, since_us: int) -> None:
        self.since_us = since_us
        self.until_us = since_us
        self._standing = Standing(since_us)
        self._soonest = NEVER
        """When the first state ends as far as known; until it is asked for anew, states only end later."""

    def keep(self, device: NDArray[np.int32], window_us: NDArray[np.int64]) -> bool:
        """Begin to keep devices ((n,), no device twice) or change their windows from now on.

        Returns whether anything changed.
        """
        self._soonest = NEVER
        standing = self._standing
        rows, known = standing.find(device)
        changed = bool(np.any(standing.window[rows[known]] != window_us[known])) or not bool(np.all(known))
        standing.window[rows[known]] = window_us[known]
        if not known.all():
            standing.add(device[~known], window_us[~known], self.until_us)
        return changed

    def release(self, device: NDArray[np.int32]) -> list[Transition]:
        """Stop to keep devices at the instant up to which was watched, as if each had been removed."""
        standing = self._standing
        rows, known = standing.find(device)
        for row in rows[known].tolist():
            standing.apply(row, self.until_us, REMOVED, "removed")
        return standing.collect()

    def resume(self, since_us: int) -> "tuple[Watch, list[Transition]]":
        """Begin a new watch by the same gateway process: its sessions go on, what was fresh does not.

        Returns the new watch and the states in which its devices begin; a device of which nothing was known
        begins unobserved.
        """
        new, before = Watch(since_us), self._standing
        new.keep(before.device, before.window)
        standing = new._standing
        standing.session[:] = before.session
        standing.gone[:] = before.gone
        standing.said[:] = before.said
        standing.offset[:] = before.offset
        standing.reason = dict(before.reason)
        for row in np.flatnonzero(before.state != State.UNOBSERVED).tolist():
            standing.change(row, since_us, standing.link(row), standing.reason.get(row, "watch-resumed"))
        return new, standing.collect()

    def devices(self) -> NDArray[np.int32]:
        """Return the devices kept here, (n,)."""
        return self._standing.device

    def state_of(self, device: int) -> State:
        """Return the state at the instant up to which was watched; unobserved when not kept."""
        standing = self._standing
        rows, known = standing.find(np.array([device], np.int32))
        return State(int(standing.state[rows[0]])) if known[0] else State.UNOBSERVED

    def unknown(self, device: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return those of `device` ((n,) with repeats) that are not kept, each once."""
        _, known = self._standing.find(device)
        return np.empty(0, np.int32) if known.all() else np.unique(device[~known])

    def advance(self, scans: Scans, events: Sequence[Event], until_us: int) -> list[Transition]:
        """Move all devices to `until_us` with what arrived, and return what changed, in order of time.

        Scans and events of devices not kept are passed over, and so is history: what a source had buffered is no
        answer. A `clock` event says how a device's clock differs from ours, for what is received from then on.
        Devices in a steady state and without events cost no Python work each. No device has two transitions at
        one instant.
        """
        standing, until_us = self._standing, max(self.until_us, until_us)
        if events or not self._stay(scans, until_us):
            self._soonest = NEVER
            self._happen(scans, events, until_us)
        self.until_us = until_us
        if self._soonest < until_us:
            ends = standing.ends()
            for row in np.flatnonzero(ends < until_us).tolist():
                standing.expire(row, until_us)
            self._soonest = int(ends.min(initial=-NEVER))
        return standing.collect()

    def _stay(self, scans: Scans, until_us: int) -> bool:
        """Take up fresh values of connected devices; False, and nothing is taken up, if anything else is among them.

        From one to the next of such batches every state only ends later.
        """
        if not len(scans):
            return True
        standing = self._standing
        rows, known = standing.find(scans.device)
        if not known.all() or (standing.state[rows] != CONNECTED).any():
            return False
        received, window = np.minimum(scans.received, until_us), standing.window[rows]
        if (received > standing.good[rows] + window).any():
            return False
        if standing.reason and standing.said[rows].any():
            return False
        if not fresh(scans, window, standing.offset[rows]).all():
            return False
        np.maximum.at(standing.answer, rows, received)
        np.maximum.at(standing.good, rows, received)
        return True

    def _happen(self, scans: Scans, events: Sequence[Event], until_us: int) -> None:
        """Take up whatever arrived until `until_us`."""
        standing, happened = self._standing, dict[int, list[tuple[int, int, str]]]()
        clocks = [event for event in events if event.kind == "clock"]
        for event in events:
            kind = _EVENTS.get(event.kind)
            if kind is not None:
                rows, known = standing.find(np.array([event.device], np.int32))
                if known[0]:
                    happened.setdefault(int(rows[0]), []).append(
                        (min(event.at, until_us), kind, event.reason)
                    )
        if len(scans):
            rows, kept = standing.find(scans.device)
            offsets = self._offsets(scans, rows, kept, clocks)
            self._arrive(scans, rows, kept, offsets, happened, until_us)
        for event in clocks:
            self._set_clock(event)
        for row, items in happened.items():
            # at one instant scans come first, then events as they were given (sorting is stable)
            for at, kind, reason in sorted(items, key=lambda item: (item[0], item[1] > ANSWER)):
                standing.expire(row, at)
                standing.apply(row, at, kind, reason)

    def _offsets(
        self, scans: Scans, rows: NDArray[np.intp], kept: NDArray[np.bool_], clocks: Sequence[Event]
    ) -> NDArray[np.int64]:
        """Return each scan's source clock less ours, (n,) µs; `clocks`: what was measured meanwhile."""
        offsets = np.zeros(len(scans), np.int64)
        offsets[kept] = self._standing.offset[rows[kept]]
        for event in clocks:
            later = (scans.device == event.device) & (scans.received >= event.at)
            offsets[later] = event.detail["offset_us"]
        return offsets

    def _set_clock(self, event: Event) -> None:
        rows, known = self._standing.find(np.array([event.device], np.int32))
        if known[0]:
            self._standing.offset[rows[0]] = event.detail["offset_us"]

    def _arrive(
        self,
        scans: Scans,
        rows: NDArray[np.intp],
        kept: NDArray[np.bool_],
        clock_offset_us: NDArray[np.int64],
        happened: dict[int, list[tuple[int, int, str]]],
        until_us: int,
    ) -> None:
        """Take up the scans that change no state; put the others into `happened`."""
        standing = self._standing
        good = fresh(scans, standing.window[rows], clock_offset_us)
        received = np.minimum(scans.received, until_us)
        counts = kept & (scans.how != _HISTORY)
        if not counts.all():
            rows, good, received = rows[counts], good[counts], received[counts]
        state = standing.state[rows]
        window = standing.window[rows]
        steady = (state == CONNECTED) & (received <= standing.good[rows] + window)
        steady &= ~(good & standing.said[rows])
        if not steady.all():
            steady |= (state == RESPONDING) & ~good & (received <= standing.answer[rows] + window)
        if happened or not steady.all():
            uneven = np.zeros(len(standing.device), np.bool_)
            uneven[rows[~steady]] = True
            uneven[list(happened)] = True
            steady = ~uneven[rows]
        np.maximum.at(standing.answer, rows[steady], received[steady])
        steady_good = steady & good
        np.maximum.at(standing.good, rows[steady_good], received[steady_good])
        others = self._connect(rows, good, received, np.flatnonzero(~steady), happened)
        for index in others.tolist():
            kind = GOOD if good[index] else ANSWER
            happened.setdefault(int(rows[index]), []).append((int(received[index]), kind, ""))

    def _connect(
        self,
        rows: NDArray[np.intp],
        good: NDArray[np.bool_],
        received: NDArray[np.int64],
        index: NDArray[np.intp],
        happened: dict[int, list[tuple[int, int, str]]],
    ) -> NDArray[np.intp]:
        """Take up together the first Good values of devices that nothing else happened to; return the other places.

        What a start of many devices consists of. index: (k,), places in the other columns of what changes a state.
        """
        if len(index) < _MANY:
            return index
        standing, row = self._standing, rows[index]
        once = np.bincount(row, minlength=len(standing.device)) == 1
        once[list(happened)] = False
        once &= (standing.state == UNOBSERVED) & ~standing.gone & ~standing.said
        first = good[index] & once[row] & (received[index] <= standing.kept[row] + standing.window[row])
        standing.connect(row[first], received[index][first])
        others: NDArray[np.intp] = index[~first]
        return others

    def to_bytes(self) -> bytes:
        """Return everything kept here, so that another worker can go on exactly where this one stood."""
        standing = self._standing
        reasons = {str(int(standing.device[row])): reason for row, reason in standing.reason.items()}
        return msgspec.msgpack.encode(_Memory(self.since_us, self.until_us, standing.columns(), reasons))

    @classmethod
    def from_bytes(cls, body: bytes) -> "Watch":
        """Return what `to_bytes` gave.

        Raises:
            IntegrityError: the bytes are not of this form.
        """
        try:
            memory = msgspec.msgpack.decode(body, type=_Memory)
        except msgspec.MsgspecError as error:
            raise IntegrityError(f"watch memory: {error}") from error
        watch = cls(memory.since_us)
        watch.until_us = memory.until_us
        watch._standing = Standing.restored(memory.since_us, memory.columns)
        row_of = {device: row for row, device in enumerate(watch._standing.device.tolist())}
        watch._standing.reason = {row_of[int(number)]: reason for number, reason in memory.reasons.items()}
        return watch


class _Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Watch` as bytes: each column little-endian, reasons by device."""

    since_us: int
    until_us: int
    columns: dict[str, bytes]
    reasons: dict[str, str]


_HISTORY = int(How.HISTORY)
_MANY = 16
"""Changes from which on it pays to look for those that can be made together."""
_EVENTS = {
    "session_up": SESSION_UP,
    "answer": ANSWERED,
    "error": ERROR,
    "session_down": SESSION_DOWN,
    "removed": REMOVED,
}
