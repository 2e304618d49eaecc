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


class Watch:
    """The devices that one gateway watches in one partition, since one watch began."""

    def __init__(self, since_us: int) -> None:
        self.since_us = since_us
        self.until_us = since_us
        self._device = np.empty(0, np.int32)
        self._order = np.empty(0, np.intp)
        self._window = np.empty(0, np.int64)
        self._state = np.empty(0, np.int8)
        self._good = np.empty(0, np.int64)
        self._answer = np.empty(0, np.int64)
        self._kept = np.empty(0, np.int64)
        self._last = np.empty(0, np.int64)
        self._offset = np.empty(0, np.int64)
        self._session = np.empty(0, np.bool_)
        self._gone = np.empty(0, np.bool_)
        self._said = np.empty(0, np.bool_)
        self._found = _NOTHING
        self._soonest = NEVER
        self._reason: dict[int, str] = {}
        self._out: list[Transition | None] = []
        self._open: dict[int, tuple[int, int]] = {}

    def keep(self, device: NDArray[np.int32], window_us: NDArray[np.int64]) -> bool:
        """Begin to keep devices ((n,), no device twice) or change their windows from now on.

        Returns whether anything changed.
        """
        self._soonest = NEVER
        rows, known = self._find(device)
        changed = bool(np.any(self._window[rows[known]] != window_us[known])) or not bool(np.all(known))
        self._window[rows[known]] = window_us[known]
        added = device[~known]
        count = len(added)
        if count:
            begin = {"device": added, "window": window_us[~known], "kept": self.until_us}
            for name, (dtype, blank) in _COLUMNS.items():
                more = np.full(count, begin.get(name, blank), dtype)
                setattr(self, f"_{name}", np.concatenate([getattr(self, f"_{name}"), more]))
            self._order = np.argsort(self._device)
            self._found = _NOTHING
        return changed

    def release(self, device: NDArray[np.int32]) -> list[Transition]:
        """Stop to keep devices at the instant up to which was watched, as if each had been removed."""
        self._soonest = NEVER
        rows, known = self._find(device)
        for row in rows[known].tolist():
            self._apply(row, self.until_us, _REMOVED, "removed")
        return self._collect()

    def resume(self, since_us: int) -> "tuple[Watch, list[Transition]]":
        """Begin a new watch by the same gateway process: its sessions go on, what was fresh does not.

        Returns the new watch and the states in which its devices begin; a device of which nothing was known
        begins unobserved.
        """
        new = Watch(since_us)
        new.keep(self._device, self._window)
        new._session[:] = self._session
        new._gone[:] = self._gone
        new._said[:] = self._said
        new._offset[:] = self._offset
        new._reason = dict(self._reason)
        for row in np.flatnonzero(self._state != State.UNOBSERVED).tolist():
            new._change(row, since_us, new._link(row), new._reason.get(row, "watch-resumed"))
        return new, new._collect()

    def devices(self) -> NDArray[np.int32]:
        """Return the devices kept here, (n,)."""
        return self._device

    def state_of(self, device: int) -> State:
        """Return the state at the instant up to which was watched; unobserved when not kept."""
        rows, known = self._find(np.array([device], np.int32))
        return State(int(self._state[rows[0]])) if known[0] else State.UNOBSERVED

    def unknown(self, device: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return those of `device` ((n,) with repeats) that are not kept, each once."""
        _, known = self._find(device)
        return np.empty(0, np.int32) if known.all() else np.unique(device[~known])

    def advance(self, scans: Scans, events: Sequence[Event], until_us: int) -> list[Transition]:
        """Move all devices to `until_us` with what arrived, and return what changed, in order of time.

        Scans and events of devices not kept are passed over, and so is history: what a source had buffered is no
        answer. A `clock` event says how a device's clock differs from ours, for what is received from then on.
        Devices in a steady state and without events cost no Python work each. No device has two transitions at
        one instant.
        """
        until_us = max(self.until_us, until_us)
        if events or not self._stay(scans, until_us):
            self._soonest = NEVER
            self._happen(scans, events, until_us)
        self.until_us = until_us
        if self._soonest < until_us:
            ends = self._ends()
            ended = np.flatnonzero(ends < until_us).tolist()
            for row in ended:
                self._expire(row, until_us)
            self._soonest = NEVER if ended or not len(ends) else int(ends.min())
        return self._collect()

    def _stay(self, scans: Scans, until_us: int) -> bool:
        """Take up fresh values of connected devices; False, and nothing is taken up, if anything else is among them.

        From one to the next of such batches every state only ends later.
        """
        if not len(scans):
            return True
        rows, known = self._find(scans.device)
        if not known.all() or (self._state[rows] != _CONNECTED).any():
            return False
        received, window = np.minimum(scans.received, until_us), self._window[rows]
        if (received > self._good[rows] + window).any():
            return False
        if (self._reason and self._said[rows].any()) or not fresh(scans, window, self._offset[rows]).all():
            return False
        np.maximum.at(self._answer, rows, received)
        np.maximum.at(self._good, rows, received)
        return True

    def _happen(self, scans: Scans, events: Sequence[Event], until_us: int) -> None:
        """Take up whatever arrived until `until_us`."""
        happened: dict[int, list[tuple[int, int, str]]] = {}
        clocks = [event for event in events if event.kind == "clock"]
        for event in events:
            kind = _EVENTS.get(event.kind)
            if kind is not None:
                rows, known = self._find(np.array([event.device], np.int32))
                if known[0]:
                    happened.setdefault(int(rows[0]), []).append(
                        (min(event.at, until_us), kind, event.reason)
                    )
        if len(scans):
            rows, kept = self._find(scans.device)
            offsets = self._offsets(scans, rows, kept, clocks)
            self._arrive(scans, rows, kept, offsets, happened, until_us)
        for event in clocks:
            self._set_clock(event)
        for row, items in happened.items():
            # at one instant scans come first, then events as they were given (sorting is stable)
            for at, kind, reason in sorted(items, key=lambda item: (item[0], item[1] > _ANSWER)):
                self._expire(row, at)
                self._apply(row, at, kind, reason)

    def _find(self, device: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the rows of devices and which of them are kept; a row is only meaning where it is."""
        if not len(self._device):
            return np.zeros(len(device), np.intp), np.zeros(len(device), np.bool_)
        asked, rows, known = self._found
        if len(device) == len(asked) and (device == asked).all():  # most batches speak of the same devices
            return rows, known
        place = np.searchsorted(self._device, device, sorter=self._order)
        rows = self._order[np.minimum(place, len(self._order) - 1)]
        known = self._device[rows] == device
        if len(device) > 1:
            self._found = (device.copy(), rows, known)
        return rows, known

    def _offsets(
        self, scans: Scans, rows: NDArray[np.intp], kept: NDArray[np.bool_], clocks: Sequence[Event]
    ) -> NDArray[np.int64]:
        """Return each scan's source clock less ours, (n,) µs; `clocks`: what was measured meanwhile."""
        if not clocks and not self._offset.any():
            return np.zeros(len(scans), np.int64)
        offsets = np.zeros(len(scans), np.int64)
        offsets[kept] = self._offset[rows[kept]]
        for event in clocks:
            later = (scans.device == event.device) & (scans.received >= event.at)
            offsets[later] = event.detail["offset_us"]
        return offsets

    def _set_clock(self, event: Event) -> None:
        rows, known = self._find(np.array([event.device], np.int32))
        if known[0]:
            self._offset[rows[0]] = event.detail["offset_us"]

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
        good = fresh(scans, self._window[rows], clock_offset_us)
        received = np.minimum(scans.received, until_us)
        counts = kept & (scans.how != _HISTORY)
        if not counts.all():
            rows, good, received = rows[counts], good[counts], received[counts]
        state = self._state[rows]
        window = self._window[rows]
        steady = (state == _CONNECTED) & (received <= self._good[rows] + window)
        steady &= ~(good & self._said[rows])
        if not steady.all():
            steady |= (state == _RESPONDING) & ~good & (received <= self._answer[rows] + window)
        if happened or not steady.all():
            uneven = np.zeros(len(self._device), np.bool_)
            uneven[rows[~steady]] = True
            uneven[list(happened)] = True
            steady = ~uneven[rows]
        np.maximum.at(self._answer, rows[steady], received[steady])
        steady_good = steady & good
        np.maximum.at(self._good, rows[steady_good], received[steady_good])
        others = self._connect(rows, good, received, np.flatnonzero(~steady), happened)
        for index in others.tolist():
            kind = _GOOD if good[index] else _ANSWER
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
        row = rows[index]
        once = np.bincount(row, minlength=len(self._device)) == 1
        once[list(happened)] = False
        once &= (self._state == _UNOBSERVED) & ~self._gone & ~self._said
        first = good[index] & once[row] & (received[index] <= self._kept[row] + self._window[row])
        begun, came = row[first], received[index][first]
        at = np.maximum(np.maximum(came, self.since_us), self._last[begun] + 1)
        self._good[begun] = np.maximum(self._good[begun], came)
        self._answer[begun] = np.maximum(self._answer[begun], came)
        self._state[begun] = _CONNECTED
        self._last[begun] = at
        connected = State.CONNECTED
        self._out += [
            Transition(device, instant, connected, "value")
            for device, instant in zip(self._device[begun].tolist(), at.tolist(), strict=True)
        ]
        others: NDArray[np.intp] = index[~first]
        return others

    def _ends(self) -> NDArray[np.int64]:
        """Return when each device's state ends if nothing more comes, (n,) µs; a far time for never."""
        connected = self._state == _CONNECTED
        if connected.all():
            return self._good + self._window
        newest = np.select(
            [connected, self._state == _RESPONDING],
            [self._good, self._answer],
            np.where((self._state == _UNOBSERVED) & ~self._gone, self._kept, -NEVER),
        )
        return newest + self._window

    def _expire(self, row: int, at: int) -> None:
        """Let what was fresh grow old before `at`."""
        window, state = int(self._window[row]), int(self._state[row])
        if state == _CONNECTED and (end := int(self._good[row]) + window) < at:
            answers = int(self._answer[row]) + window > end
            below = State.RESPONDING if answers else self._link(row)
            self._change(row, end, below, self._reason.get(row, "value-expired"))
            state = int(self._state[row])
        if state == _RESPONDING and (end := int(self._answer[row]) + window) < at:
            self._change(row, end, self._link(row), self._reason.get(row, "answer-expired"))
            state = int(self._state[row])
        if state == _UNOBSERVED and not self._gone[row] and (end := int(self._kept[row]) + window) < at:
            self._change(row, end, self._link(row), self._reason.get(row, "never-answered"))

    def _apply(self, row: int, at: int, kind: int, reason: str) -> None:
        state = State(int(self._state[row]))
        if kind != _REMOVED and self._gone[row]:
            self._gone[row] = False
            self._kept[row] = at
        if kind == _GOOD:
            self._good[row] = max(int(self._good[row]), at)
            self._answer[row] = max(int(self._answer[row]), at)
            self._say(row, "")
            self._change(row, at, State.CONNECTED, "value")
        elif kind in (_ANSWER, _ANSWERED):
            self._answer[row] = max(int(self._answer[row]), at)
            if reason:
                self._say(row, reason)
            if state < State.RESPONDING:
                self._change(row, at, State.RESPONDING, reason or "answer")
        elif kind == _SESSION_UP:
            self._session[row] = True
            if state < State.LINKED:
                self._change(row, at, State.LINKED, "session-up")
        elif kind == _SESSION_DOWN:
            self._session[row] = False
            self._say(row, reason or "session-down")
            if state <= State.LINKED:
                self._change(row, at, State.OFFLINE, reason or "session-down")
        elif kind == _ERROR:
            self._say(row, reason)
            if state == _UNOBSERVED:
                self._change(row, at, self._link(row), reason or "error")
        else:
            self._session[row] = False
            self._gone[row] = True
            self._good[row] = self._answer[row] = NEVER
            self._say(row, "")
            self._change(row, at, State.UNOBSERVED, "removed")

    def _say(self, row: int, reason: str) -> None:
        """Keep why the device may soon be less than it is; an empty reason forgets it."""
        self._said[row] = bool(reason)
        if reason:
            self._reason[row] = reason
        else:
            self._reason.pop(row, None)

    def _link(self, row: int) -> State:
        return State.LINKED if self._session[row] else State.OFFLINE

    def _change(self, row: int, at: int, state: State, reason: str) -> None:
        """Put the device into `state` at `at`, or where it last changed if that was later."""
        before = int(self._state[row])
        if before == state:
            return
        last = int(self._last[row])
        at = max(at, self.since_us)
        self._state[row] = state
        open_ = self._open.get(row)
        if at <= last and open_ is not None:
            index, earlier = open_
            changed = Transition(int(self._device[row]), last, state, reason)
            self._out[index] = None if state == earlier else changed
            return
        at = max(at, last + 1)
        self._last[row] = at
        self._open[row] = (len(self._out), before)
        self._out.append(Transition(int(self._device[row]), at, state, reason))

    def _collect(self) -> list[Transition]:
        found = [transition for transition in self._out if transition is not None]
        self._out.clear()
        self._open.clear()
        return sorted(found, key=lambda transition: transition.at)

    def to_bytes(self) -> bytes:
        """Return everything kept here, so that another worker can go on exactly where this one stood."""
        columns = {name: getattr(self, f"_{name}").tobytes() for name in _COLUMNS}
        reasons = {str(int(self._device[row])): reason for row, reason in self._reason.items()}
        return msgspec.msgpack.encode(_Memory(self.since_us, self.until_us, columns, reasons))

    @classmethod
    def from_bytes(cls, body: bytes) -> "Watch":
        """Return what `to_bytes` gave.

        Raises:
            IntegrityError: the bytes are not of this form.
        """
        try:
            memory = msgspec.msgpack.decode(body, type=_Memory)
            watch = cls(memory.since_us)
            watch.until_us = memory.until_us
            if "offset" not in memory.columns:  # written before clocks were kept
                memory.columns["offset"] = bytes(len(memory.columns["last"]))
            for name, (dtype, _) in _COLUMNS.items():
                setattr(watch, f"_{name}", np.frombuffer(memory.columns[name], dtype).copy())
        except (msgspec.MsgspecError, KeyError, ValueError) as error:
            raise IntegrityError(f"watch memory: {error}") from error
        if len({len(getattr(watch, f"_{name}")) for name in _COLUMNS}) != 1:
            raise IntegrityError("watch memory: columns differ in length")
        watch._order = np.argsort(watch._device)
        row_of = {int(device): row for row, device in enumerate(watch._device.tolist())}
        watch._reason = {row_of[int(device)]: reason for device, reason in memory.reasons.items()}
        return watch


class _Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `Watch` as bytes: each column little-endian, reasons by device."""

    since_us: int
    until_us: int
    columns: dict[str, bytes]
    reasons: dict[str, str]


_COLUMNS = {
    "device": ("<i4", 0),
    "window": ("<i8", 0),
    "state": ("i1", int(State.UNOBSERVED)),
    "good": ("<i8", NEVER),
    "answer": ("<i8", NEVER),
    "kept": ("<i8", 0),
    "last": ("<i8", NEVER),
    "offset": ("<i8", 0),
    "session": ("?", False),
    "gone": ("?", False),
    "said": ("?", False),
}
"""Of each column how it is stored, and what it holds for a device that is new and said nothing of."""
_CONNECTED, _RESPONDING, _UNOBSERVED = int(State.CONNECTED), int(State.RESPONDING), int(State.UNOBSERVED)
_HISTORY = int(How.HISTORY)
_NOTHING = (np.empty(0, np.int32), np.empty(0, np.intp), np.empty(0, np.bool_))
"""Of the devices last asked for: these, their rows, and which of them are kept."""
_MANY = 16
"""Changes from which on it pays to look for those that can be made together."""
_GOOD, _ANSWER, _SESSION_UP, _ANSWERED, _ERROR, _SESSION_DOWN, _REMOVED = range(7)
_EVENTS = {
    "session_up": _SESSION_UP,
    "answer": _ANSWERED,
    "error": _ERROR,
    "session_down": _SESSION_DOWN,
    "removed": _REMOVED,
}
