"""Presence: what can be said of a device at an instant, from what arrived and when (DESIGN §4).

Pure functions of data. One partition's devices are columns of a `Presence`; a batch moves them forward to the
instant up to which its gateway watched. Whether anybody watched at all (`unobserved`) is not decided here: it
follows from the gateway's watch intervals, and a new watch begins with a new `Presence`.

Evidence wins over silence: a device whose transport session has just ended stays `connected` until its last
Good value is older than its window, because that value was, at that instant, fresh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from muster.clock import SECOND_US
from muster.events import Event
from muster.scans import How, Scans

NEVER = -(2**62)
"""A time before every other, in µs."""


class State(IntEnum):
    """Presence states in the order of what is known of the device."""

    UNOBSERVED = 0
    OFFLINE = 1
    LINKED = 2
    RESPONDING = 3
    CONNECTED = 4

    @property
    def word(self) -> str:
        """The state's name in the API, the database and the catalogue."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Definition:
    """The versioned definition of freshness that a claim names.

    factor: window = factor × expected interval, within [least_s, cap_s] (seconds).
    lease_s: a gateway not heard from for this long has stopped watching.
    """

    version: str = "presence-1"
    factor: float = 3.0
    least_s: float = 10.0
    cap_s: float = 3600.0
    lease_s: float = 10.0

    def window_us(self, interval_s: float) -> int:
        """Return the freshness window in µs of a device with this expected interval in seconds."""
        return round(min(max(self.factor * interval_s, self.least_s), self.cap_s) * SECOND_US)


@dataclass(frozen=True, slots=True)
class Transition:
    """From `at` (µs) on, `device` is in `state`, for `reason` (a catalogue key)."""

    device: int
    at: int
    state: State
    reason: str


def fresh(
    scans: Scans, window_us: NDArray[np.int64], clock_offset_us: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which scans hold a Good value that was fresh when it was received.

    window_us, clock_offset_us: (n,) int64, of each scan's device; the offset is the session's measured
    source clock less ours. Returns (n,) bool.

    A solicited answer's source time is not tested: a value that has not changed keeps an old one. A
    notification's is, corrected by the offset. History is never fresh.
    """
    age = scans.received - (scans.time - clock_offset_us)
    in_time = (scans.how == How.SOLICITED) | ((scans.how == How.UNSOLICITED) & (age <= window_us))
    return in_time & scans.good()


class Presence:
    """The devices that one gateway watches in one partition, since one watch began."""

    def __init__(self, since_us: int) -> None:
        self.since_us = since_us
        self.until_us = since_us
        self._row: dict[int, int] = {}
        self._device: list[int] = []
        self._window = np.empty(0, np.int64)
        self._state = np.empty(0, np.int8)
        self._good = np.empty(0, np.int64)
        self._answer = np.empty(0, np.int64)
        self._session = np.empty(0, np.bool_)
        self._reason: list[str] = []

    def set_window(self, device: int, window_us: int) -> None:
        """Begin to keep `device`, or change its window from now on."""
        row = self._row.get(device)
        if row is not None:
            self._window[row] = window_us
            return
        self._row[device] = len(self._device)
        self._device.append(device)
        self._reason.append("")
        self._window = np.append(self._window, window_us)
        self._state = np.append(self._state, np.int8(State.UNOBSERVED))
        self._good = np.append(self._good, NEVER)
        self._answer = np.append(self._answer, NEVER)
        self._session = np.append(self._session, False)

    def restore(self, device: int, state: State, good_us: int, answer_us: int, session: bool) -> None:
        """Take up a device where another worker left it; times in µs, `NEVER` where there was none."""
        row = self._row[device]
        self._state[row] = state
        self._good[row] = good_us
        self._answer[row] = answer_us
        self._session[row] = session

    def state_of(self, device: int) -> State:
        """Return the state at the instant up to which was watched; unobserved when not kept."""
        row = self._row.get(device)
        return State.UNOBSERVED if row is None else State(int(self._state[row]))

    def known(self) -> list[int]:
        """Return the devices kept here."""
        return list(self._device)

    def advance(
        self, scans: Scans, is_fresh: NDArray[np.bool_], events: Sequence[Event], until_us: int
    ) -> list[Transition]:
        """Move all devices to `until_us` with what arrived, and return what changed, in order of time.

        scans: of devices known here; is_fresh: (n,) bool from `fresh`. Devices with a Good scan at least every
        window and no event cost no Python work each.
        """
        transitions: list[Transition] = []
        arrivals: dict[int, list[tuple[int, int, str]]] = {}
        for event in events:
            row = self._row.get(event.device)
            if row is not None and event.kind in ("session_up", "session_down", "answer", "error", "removed"):
                arrivals.setdefault(row, []).append((event.at, _ORDER[event.kind], event.reason))
        if len(scans):
            rows = np.fromiter((self._row[d] for d in scans.device.tolist()), np.int64, len(scans))
            steady = (
                is_fresh
                & (self._state[rows] == State.CONNECTED)
                & (scans.received <= self._good[rows] + self._window[rows])
            )
            if arrivals:
                steady &= ~np.isin(rows, list(arrivals))
            uneven = np.unique(rows[~steady])
            if len(uneven):
                steady &= ~np.isin(rows, uneven)
                for index in np.flatnonzero(~steady).tolist():
                    kind = _GOOD if is_fresh[index] else _ORDER["answer"]
                    arrivals.setdefault(int(rows[index]), []).append((int(scans.received[index]), kind, ""))
            np.maximum.at(self._good, rows[steady], scans.received[steady])
            np.maximum.at(self._answer, rows[steady], scans.received[steady])
        for row, happened in arrivals.items():
            for at, kind, reason in sorted(happened, key=lambda item: (item[0], item[1])):
                self._expire(row, at, transitions)
                self._apply(row, at, kind, reason, transitions)
        self.until_us = max(self.until_us, until_us)
        newest = np.where(self._state == State.CONNECTED, self._good, self._answer)
        alive = (self._state == State.CONNECTED) | (self._state == State.RESPONDING)
        for row in np.flatnonzero(alive & (newest + self._window < self.until_us)).tolist():
            self._expire(row, self.until_us, transitions)
        transitions.sort(key=lambda transition: transition.at)
        return transitions

    def _expire(self, row: int, at: int, out: list[Transition]) -> None:
        """Let what was fresh grow old before `at`."""
        window = int(self._window[row])
        if self._state[row] == State.CONNECTED and (end := int(self._good[row]) + window) < at:
            below = State.RESPONDING if self._answer[row] + window > end else self._link(row)
            self._change(row, end, below, self._reason[row] or "value-expired", out)
        if self._state[row] == State.RESPONDING and (end := int(self._answer[row]) + window) < at:
            self._change(row, end, self._link(row), self._reason[row] or "answer-expired", out)

    def _apply(self, row: int, at: int, kind: int, reason: str, out: list[Transition]) -> None:
        state = State(int(self._state[row]))
        if kind == _GOOD:
            self._good[row] = max(int(self._good[row]), at)
            self._answer[row] = max(int(self._answer[row]), at)
            self._reason[row] = ""
            self._change(row, at, State.CONNECTED, "value", out)
        elif kind == _ORDER["answer"]:
            self._answer[row] = max(int(self._answer[row]), at)
            self._reason[row] = reason or self._reason[row]
            if state < State.RESPONDING:
                self._change(row, at, State.RESPONDING, reason or "answer", out)
        elif kind == _ORDER["session_up"]:
            self._session[row] = True
            if state < State.LINKED:
                self._change(row, at, State.LINKED, "session-up", out)
        elif kind == _ORDER["session_down"]:
            self._session[row] = False
            self._reason[row] = reason
            if state <= State.LINKED:
                self._change(row, at, State.OFFLINE, reason or "session-down", out)
        elif kind == _ORDER["error"]:
            self._reason[row] = reason
            if state == State.UNOBSERVED:
                self._change(row, at, self._link(row), reason, out)
        elif kind == _ORDER["removed"]:
            self._session[row] = False
            self._good[row] = self._answer[row] = NEVER
            self._change(row, at, State.UNOBSERVED, "removed", out)

    def _link(self, row: int) -> State:
        return State.LINKED if self._session[row] else State.OFFLINE

    def _change(self, row: int, at: int, state: State, reason: str, out: list[Transition]) -> None:
        if self._state[row] != state:
            self._state[row] = state
            out.append(Transition(self._device[row], at, state, reason))


_GOOD = 3
_ORDER = {"removed": 0, "session_up": 1, "answer": 2, "error": 4, "session_down": 5}
"""What of one instant comes first: a session opens before it answers and answers before it ends."""
