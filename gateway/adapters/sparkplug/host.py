"""What a host application makes of one edge node's messages: births, aliases, sequence, deaths, rebirths. Pure.

Sparkplug 3.0, chapters 5 and 6. A node is *born* from its NBIRTH to the NDEATH of the same bdSeq. While it is not born,
and for metrics that no birth named, nothing it says is a value: the aliases might mean other metrics by now. What a
birth itself holds is history, also when it was asked for: another host may have answered from its memory. Messages
carry 0 to 255 in turn, over the node and all its devices; when one is missing it may still come for a moment, then a
rebirth is asked for. At most one a minute is, and ever fewer from a node that says nothing.
"""

from collections.abc import Generator, Iterator

from gateway.adapters.sparkplug.clockwork import Clockwork
from gateway.adapters.sparkplug.outcomes import (
    Alive,
    Born,
    ClockOff,
    Down,
    Measured,
    Missed,
    Outcome,
    Reading,
    Said,
    Scope,
    Trouble,
    Up,
    Values,
)
from gateway.adapters.sparkplug.rebirths import REBIRTH_EVERY_S, RebirthLimit
from gateway.adapters.sparkplug.table import Table
from gateway.adapters.sparkplug.topics import Kind, Node
from muster.sparkplug import Metric, Numbers, Payload

_LONGEST_PAUSE_S = 600.0
_BIRTHS_WITHIN_S = 10.0
"""How long after its node's birth a device may take to be born."""
_TRUSTED_AWAY_S = 60.0
_MOST_MISSING = 32
_MOST_METRICS = 100_000


class EdgeNode:
    """One edge node as its host knows it. Times: `received`, µs since 1970; `now_s`, monotonic seconds."""

    def __init__(self, key: tuple[str, Node], limit: RebirthLimit, reorder_s: float = 2.0) -> None:
        """key: the broker's text and the node, under which rebirths are limited."""
        self.born = False
        self.reorder_s = reorder_s
        self.tables: dict[Scope, Table] = {}
        self.rebirths = 0
        self._key, self._limit = key, limit
        self._clock = Clockwork()
        self._bd_seq: int | None = None
        self._next: int | None = None
        self._last: tuple[int, int | None] | None = None
        self._last_received = 0
        self._missing: set[int] = set()
        self._hole: tuple[int, int] | None = None
        self._hole_until_s = 0.0
        self._unborn: dict[Scope, float] = {}
        self._wanted_s: float | None = None
        self._pause_s = REBIRTH_EVERY_S
        self._heard = True
        self._away_s: float | None = None
        self._doubtful = False

    # Messages.

    def take(self, kind: Kind, scope: Scope, payload: Said, received: int, now_s: float) -> Iterator[Outcome]:
        """Take a live message of the node (scope None) or of one of its devices."""
        self._heard, self._pause_s = True, REBIRTH_EVERY_S
        if kind == "NDEATH":
            yield from self._node_died(payload)
            return
        seq = payload.seq
        if seq is None or seq > 255 or (type(payload) is Payload and len(payload.metrics) > _MOST_METRICS):
            yield Trouble(scope, "sparkplug.payload-unusable", {"problem": f"seq {seq}"})
            return
        yield from self._measure(kind, payload, received, now_s)
        if kind == "NBIRTH":
            yield from self._node_born(payload, seq, now_s)
        elif not self.born:
            self.want(now_s)
            if kind == "DDEATH":
                yield Down(scope, "sparkplug.device-died")
            else:
                yield Alive(scope)
                yield Trouble(scope, "sparkplug.not-born")
        else:
            fresh = yield from self._in_turn(seq, payload, received, now_s)
            if fresh and not self.born:
                yield Alive(scope)
            elif fresh and kind == "DBIRTH":
                yield from self._device_born(scope, payload)
            elif fresh and kind == "DDEATH":
                self.tables.pop(scope, None)
                self._unborn.pop(scope, None)
                yield Down(scope, "sparkplug.device-died")
            elif fresh:
                yield from self._data(scope, payload, now_s)
        self._last, self._last_received = (seq, payload.timestamp_ms), received

    def _node_born(self, payload: Said, seq: int, now_s: float) -> Iterator[Outcome]:
        said = next((one.value for one in payload.metrics if one.name == "bdSeq"), None)
        self._bd_seq = said if isinstance(said, int) else None
        self._unborn = {scope: now_s + _BIRTHS_WITHIN_S for scope in self.tables if scope is not None}
        self.tables = {None: Table(payload.metrics)}
        self.born, self._doubtful = True, False
        self._next = (seq + 1) % 256
        self._missing.clear()
        self._hole = self._wanted_s = None
        yield Up(None)
        yield from self._birth(None, payload)

    def _device_born(self, scope: Scope, payload: Said) -> Iterator[Outcome]:
        self.tables[scope] = Table(payload.metrics)
        self._unborn.pop(scope, None)
        yield Up(scope)
        yield from self._birth(scope, payload)

    def _birth(self, scope: Scope, payload: Said) -> Iterator[Outcome]:
        yield Alive(scope)
        yield Born(scope, self.tables[scope].names)
        readings = [Reading(one.name, one.datatype, one.value, one) for one in payload.metrics if one.name]
        yield Values(scope, readings, payload.timestamp_ms, live=False)

    def _node_died(self, payload: Said) -> Iterator[Outcome]:
        said = next((one.value for one in payload.metrics if one.name == "bdSeq"), None)
        if self.born and self._bd_seq is not None and said != self._bd_seq:
            yield Trouble(None, "sparkplug.stale-death", {"bd_seq": said, "born": self._bd_seq})
            return
        self._forget()
        self._wanted_s = None
        yield Down(None, "sparkplug.edge-node-died")

    def _forget(self) -> None:
        """Know nothing of the node's metrics any more."""
        self.born = self._doubtful = False
        self.tables.clear()
        self._unborn.clear()
        self._missing.clear()
        self._hole = self._next = self._bd_seq = None

    def _data(self, scope: Scope, payload: Said, now_s: float) -> Iterator[Outcome]:
        table = self.tables.get(scope)
        if table is None:
            self.want(now_s)
            yield Alive(scope)
            yield Trouble(scope, "sparkplug.not-born")
            return
        if type(payload) is Numbers and (names := table.named(payload.form)) is not None:
            yield Measured(scope, names, payload)
            return
        yield Alive(scope)
        readings, unknown = table.readings(payload.metrics)
        if unknown is not None:
            self.want(now_s)
            named = unknown.name or f"alias {unknown.alias}"
            yield Trouble(scope, "sparkplug.unknown-metric", {"metric": named[:200]})
        if readings:
            yield Values(scope, readings, payload.timestamp_ms, live=True)

    def metric(self, scope: Scope, name: str) -> Metric | None:
        """Return a metric as its birth named it; None when that cannot be believed now."""
        table = self.tables.get(scope)
        return None if table is None or self._doubtful or self._away_s is not None else table.names.get(name)

    # Order.

    def _in_turn(
        self, seq: int, payload: Said, received: int, now_s: float
    ) -> Generator[Outcome, None, bool]:
        """Keep the count; return whether the message is to be used."""
        if seq in self._missing:
            self._missing.discard(seq)
            if not self._missing:
                self._hole = None
            return True
        if (seq, payload.timestamp_ms) == self._last and seq != self._next:
            return False  # delivered twice
        expected = seq if self._next is None else self._next
        self._next = (seq + 1) % 256
        if seq == expected:
            if self._doubtful:
                self._doubtful, self._wanted_s = False, None
                for scope in self.tables:
                    yield Up(scope)
            return True
        lost = (seq - expected) % 256
        if self._doubtful or lost > _MOST_MISSING:
            # births may be among what was lost, and aliases mean other metrics now
            if not self._doubtful:
                yield Missed(self._last_received, received, lost)
                yield Trouble(None, "sparkplug.sequence-gap", {"messages": lost})
            self._forget()
            self.want(now_s)
            return True
        self._missing.update((expected + step) % 256 for step in range(lost))
        if self._hole is None:
            self._hole = (self._last_received, received)
            self._hole_until_s = now_s + self.reorder_s
        return True

    def tick(self, now_s: float) -> Iterator[Outcome]:
        """Say what follows from time alone."""
        if self._hole is not None and now_s >= self._hole_until_s:
            since, until = self._hole
            yield Missed(since, until, len(self._missing))
            yield Trouble(None, "sparkplug.sequence-gap", {"messages": len(self._missing)})
            self._missing.clear()
            self._hole = None
            self.want(now_s)
        for scope, until_s in list(self._unborn.items()):
            if now_s >= until_s:
                del self._unborn[scope]
                yield Down(scope, "sparkplug.device-not-born")

    @property
    def pending(self) -> bool:
        """Whether `tick` or `rebirth_due` may have something to say before the next message."""
        return self._hole is not None or bool(self._unborn) or self._wanted_s is not None

    # Rebirths.

    def want(self, now_s: float, in_s: float = 0.0) -> None:
        """Want a birth, `in_s` from now unless it comes by itself."""
        if self._wanted_s is None:
            self._wanted_s = now_s + in_s

    def rebirth_due(self, now_s: float) -> bool:
        """Tell whether a rebirth is to be asked for now; it then counts as asked."""
        if self._wanted_s is None or now_s < self._wanted_s or self._away_s is not None:
            return False
        last = self._limit.asked(self._key)
        if last is not None and now_s - last < self._pause_s:
            return False
        if not self._limit.take(self._key, now_s):
            return False
        self._pause_s = REBIRTH_EVERY_S if self._heard else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._heard = False
        self.rebirths += 1
        return True

    # The broker.

    def broker_down(self, now_s: float) -> None:
        """Hear nothing from now on."""
        if self._away_s is None:
            self._away_s = now_s

    def broker_up(self, now_s: float, in_s: float, resumed: bool) -> None:
        """Hear again: what was known is trusted if the next message proves that none was missed."""
        away_s, self._away_s = self._away_s, None
        if away_s is not None and not (resumed and now_s - away_s <= _TRUSTED_AWAY_S):
            self._forget()
        self._doubtful = self.born
        self._hole = None
        self._missing.clear()
        self.want(now_s, in_s)

    # The clock.

    def _measure(self, kind: Kind, payload: Said, received: int, now_s: float) -> Iterator[Outcome]:
        if payload.timestamp_ms is None:
            return
        asked = self._limit.asked(self._key) if kind == "NBIRTH" else None
        at_once = asked is not None and now_s - asked < REBIRTH_EVERY_S
        if self._clock.measured(payload.timestamp_ms * 1000, received, now_s, at_once):
            yield ClockOff(self._clock.offset_us, self._clock.accuracy_us)
