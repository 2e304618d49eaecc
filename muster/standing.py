"""Where each device of one watch stands: its state, what it follows from, and how one device changes it.

Devices are rows of numpy columns. What many devices do at once, `muster.watch` does upon the columns; what happens to
one of them goes through `expire` and `apply`, in order of time.
"""

import numpy as np
from numpy.typing import NDArray

from muster.errors import IntegrityError
from muster.presence import NEVER, State, Transition

GOOD, ANSWER, SESSION_UP, ANSWERED, ERROR, SESSION_DOWN, REMOVED = range(7)
"""What happens to a device: a Good value, an answer without one, then what events say."""
CONNECTED, RESPONDING, UNOBSERVED = int(State.CONNECTED), int(State.RESPONDING), int(State.UNOBSERVED)
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
_NOTHING = (np.empty(0, np.int32), np.empty(0, np.intp), np.empty(0, np.bool_))
"""Of the devices last asked for: these, their rows, and which of them are kept."""


class Standing:
    """The devices of one watch, (n,) each.

    device: numbers; window, µs; state: one of `State`; good, answer: when the last Good value and the last answer of
    any kind came; kept: since when it is watched; last: when the state changed; offset: its clock less ours, µs;
    session: a transport session is up; gone: it was removed; said: `reason` has why it may soon be less than it is.
    """

    def __init__(self, since_us: int) -> None:
        self.since_us = since_us
        self.device = np.empty(0, np.int32)
        self.window = np.empty(0, np.int64)
        self.state = np.empty(0, np.int8)
        self.good = np.empty(0, np.int64)
        self.answer = np.empty(0, np.int64)
        self.kept = np.empty(0, np.int64)
        self.last = np.empty(0, np.int64)
        self.offset = np.empty(0, np.int64)
        self.session = np.empty(0, np.bool_)
        self.gone = np.empty(0, np.bool_)
        self.said = np.empty(0, np.bool_)
        self.reason: dict[int, str] = {}
        self._order = np.empty(0, np.intp)
        self._found = _NOTHING
        self._out: list[Transition | None] = []
        self._open: dict[int, tuple[int, int]] = {}

    def add(self, device: NDArray[np.int32], window_us: NDArray[np.int64], kept_us: int) -> None:
        """Add devices that are not here yet, watched since `kept_us`."""
        begin = {"device": device, "window": window_us, "kept": kept_us}
        for name, (dtype, blank) in _COLUMNS.items():
            more = np.full(len(device), begin.get(name, blank), dtype)
            setattr(self, name, np.concatenate([getattr(self, name), more]))
        self._sort()

    def _sort(self) -> None:
        self._order = np.argsort(self.device)
        self._found = _NOTHING

    def find(self, device: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the rows of devices and which of them are kept; a row is only meaning where it is."""
        if not len(self.device):
            return np.zeros(len(device), np.intp), np.zeros(len(device), np.bool_)
        asked, rows, known = self._found
        if len(device) == len(asked) and (device == asked).all():  # most batches speak of the same devices
            return rows, known
        place = np.searchsorted(self.device, device, sorter=self._order)
        rows = self._order[np.minimum(place, len(self._order) - 1)]
        known = self.device[rows] == device
        if len(device) > 1:
            self._found = (device.copy(), rows, known)
        return rows, known

    def ends(self) -> NDArray[np.int64]:
        """Return when each device's state ends if nothing more comes, (n,) µs; a far time for never."""
        connected = self.state == CONNECTED
        if connected.all():
            return self.good + self.window
        newest = np.select(
            [connected, self.state == RESPONDING],
            [self.good, self.answer],
            np.where((self.state == UNOBSERVED) & ~self.gone, self.kept, -NEVER),
        )
        return newest + self.window

    def expire(self, row: int, at: int) -> None:
        """Let what was fresh grow old before `at`."""
        window, state = int(self.window[row]), int(self.state[row])
        if state == CONNECTED and (end := int(self.good[row]) + window) < at:
            answers = int(self.answer[row]) + window > end
            below = State.RESPONDING if answers else self.link(row)
            self.change(row, end, below, self.reason.get(row, "value-expired"))
            state = int(self.state[row])
        if state == RESPONDING and (end := int(self.answer[row]) + window) < at:
            self.change(row, end, self.link(row), self.reason.get(row, "answer-expired"))
            state = int(self.state[row])
        if state == UNOBSERVED and not self.gone[row] and (end := int(self.kept[row]) + window) < at:
            self.change(row, end, self.link(row), self.reason.get(row, "never-answered"))

    def apply(self, row: int, at: int, kind: int, reason: str) -> None:
        """Let one of the things that happen to a device happen at `at`."""
        state = State(int(self.state[row]))
        if kind != REMOVED and self.gone[row]:
            self.gone[row] = False
            self.kept[row] = at
        if kind == GOOD:
            self.good[row] = max(int(self.good[row]), at)
            self.answer[row] = max(int(self.answer[row]), at)
            self._say(row, "")
            self.change(row, at, State.CONNECTED, "value")
        elif kind in (ANSWER, ANSWERED):
            self.answer[row] = max(int(self.answer[row]), at)
            if reason:
                self._say(row, reason)
            if state < State.RESPONDING:
                self.change(row, at, State.RESPONDING, reason or "answer")
        elif kind == SESSION_UP:
            self.session[row] = True
            if state < State.LINKED:
                self.change(row, at, State.LINKED, "session-up")
        elif kind == SESSION_DOWN:
            self.session[row] = False
            self._say(row, reason or "session-down")
            if state <= State.LINKED:
                self.change(row, at, State.OFFLINE, reason or "session-down")
        elif kind == ERROR:
            self._say(row, reason)
            if state == UNOBSERVED:
                self.change(row, at, self.link(row), reason or "error")
        else:
            self.session[row] = False
            self.gone[row] = True
            self.good[row] = self.answer[row] = NEVER
            self._say(row, "")
            self.change(row, at, State.UNOBSERVED, "removed")

    def _say(self, row: int, reason: str) -> None:
        """Keep why the device may soon be less than it is; an empty reason forgets it."""
        self.said[row] = bool(reason)
        if reason:
            self.reason[row] = reason
        else:
            self.reason.pop(row, None)

    def link(self, row: int) -> State:
        """Return the state of a device that gives no answers."""
        return State.LINKED if self.session[row] else State.OFFLINE

    def change(self, row: int, at: int, state: State, reason: str) -> None:
        """Put the device into `state` at `at`, or where it last changed if that was later."""
        before = int(self.state[row])
        if before == state:
            return
        last = int(self.last[row])
        at = max(at, self.since_us)
        self.state[row] = state
        open_ = self._open.get(row)
        if at <= last and open_ is not None:
            index, earlier = open_
            changed = Transition(int(self.device[row]), last, state, reason)
            self._out[index] = None if state == earlier else changed
            return
        at = max(at, last + 1)
        self.last[row] = at
        self._open[row] = (len(self._out), before)
        self._out.append(Transition(int(self.device[row]), at, state, reason))

    def collect(self) -> list[Transition]:
        """Return the changes since this was last asked, in order of time."""
        found = [transition for transition in self._out if transition is not None]
        self._out.clear()
        self._open.clear()
        return sorted(found, key=lambda transition: transition.at)

    def connect(self, row: NDArray[np.intp], came: NDArray[np.int64]) -> None:
        """Take up, (k,), the first Good values of devices of which nothing was known, each once."""
        at = np.maximum(np.maximum(came, self.since_us), self.last[row] + 1)
        self.good[row] = np.maximum(self.good[row], came)
        self.answer[row] = np.maximum(self.answer[row], came)
        self.state[row] = CONNECTED
        self.last[row] = at
        connected = State.CONNECTED
        self._out += [
            Transition(device, instant, connected, "value")
            for device, instant in zip(self.device[row].tolist(), at.tolist(), strict=True)
        ]

    def columns(self) -> dict[str, bytes]:
        """Return every column, little-endian."""
        return {name: getattr(self, name).tobytes() for name in _COLUMNS}

    @classmethod
    def restored(cls, since_us: int, columns: dict[str, bytes]) -> "Standing":
        """Return what `columns` gave.

        Raises:
            IntegrityError: the columns are not of this form.
        """
        standing = cls(since_us)
        try:
            if "offset" not in columns:  # written before clocks were kept
                columns = {**columns, "offset": bytes(len(columns["last"]))}
            for name, (dtype, _) in _COLUMNS.items():
                setattr(standing, name, np.frombuffer(columns[name], dtype).copy())
        except (KeyError, ValueError) as error:
            raise IntegrityError(f"watch memory: {error}") from error
        if len({len(getattr(standing, name)) for name in _COLUMNS}) != 1:
            raise IntegrityError("watch memory: columns differ in length")
        standing._sort()
        return standing
