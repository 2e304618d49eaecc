"""The devices behind one edge node, found by the scope that a message's outcome speaks of."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.adapters.sparkplug.outcomes import (
    Alive,
    Born,
    ClockOff,
    Down,
    Measured,
    Missed,
    Outcome,
    Scope,
    Trouble,
    Up,
    Values,
)
from gateway.adapters.sparkplug.station import Station

_SHARED = frozenset({Down, Trouble, Born})
"""What all devices share when it is said of their edge node."""
_SPEAKING = frozenset({Alive, Measured})
"""What shows that a device speaks."""


class Crew:
    """The stations of one edge node."""

    def __init__(self, stations: Iterable[Station] = ()) -> None:
        self._all: list[Station] = []
        self._of: dict[Scope, list[Station]] = {}
        for station in stations:
            self.add(station)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Station]:
        return iter(self._all)

    def add(self, station: Station) -> None:
        """Take one more."""
        self._all.append(station)
        self._of.setdefault(station.scope, []).append(station)

    def remove(self, station: Station) -> None:
        """Let one go."""
        self._all.remove(station)
        self._of[station.scope].remove(station)
        if not self._of[station.scope]:
            del self._of[station.scope]

    def tell(self, outcomes: Iterable[Outcome], at: int) -> None:
        """Give each device what is its own of a message's outcomes; `at` in µs since 1970."""
        spoke: list[Station] = []
        for outcome in outcomes:
            stations = self._concerned(outcome)
            if type(outcome) in _SPEAKING:
                spoke += stations
            for station in stations:
                _give(station, outcome, at)
        for station in spoke:
            station.settle(at)

    def _concerned(self, outcome: Outcome) -> Sequence[Station]:
        if isinstance(outcome, (Missed, ClockOff)) or (outcome.scope is None and type(outcome) in _SHARED):
            return self._all
        return self._of.get(outcome.scope, ())


def _give(station: Station, outcome: Outcome, at: int) -> None:
    if isinstance(outcome, Measured):
        station.alive()
        station.measured(outcome, at)
    elif isinstance(outcome, Values):
        station.values(outcome.readings, outcome.sent_ms, outcome.live, at)
    elif isinstance(outcome, Alive):
        station.alive()
    elif isinstance(outcome, Trouble):
        station.trouble(outcome.reason, outcome.detail, at)
    elif isinstance(outcome, Up):
        station.up(at)
    elif isinstance(outcome, Down):
        station.down(outcome.reason, {}, at)
    elif isinstance(outcome, Born):
        station.born(outcome.scope, outcome.metrics, at)
    elif isinstance(outcome, Missed):
        station.missed(outcome.since, outcome.until, "sparkplug.sequence-gap")
    else:
        station.clock_off(outcome.offset_us, outcome.accuracy_us, at)
