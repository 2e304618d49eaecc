"""What the tests of the watch tell it: two devices, and what arrives of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from muster import watch
from muster.events import Event
from muster.presence import State, Transition
from muster.scans import How, Scans
from muster.watch import Watch
from tests.scan_builder import ScanBuilder

SINCE = 1_000_000
HOUR = 3_600_000_000
WINDOW = 40
DEVICES = (3, 7)


@dataclass(frozen=True)
class Input:
    """One thing that arrives: a scan (`good`, `bad`, `stale`, `history`) or an event."""

    at: int
    device: int
    kind: str


SCANS = ("good", "bad", "stale", "history")
EVENTS = ("session_up", "session_down", "answer", "error", "removed")


def columns(inputs: list[Input]) -> tuple[Scans, list[Event]]:
    builder = ScanBuilder()
    events: list[Event] = []
    for item in inputs:
        if item.kind in EVENTS:
            events.append(Event(item.kind, item.device, item.at, reason=""))  # type: ignore[arg-type]
            continue
        how = {"history": How.HISTORY, "stale": How.UNSOLICITED}.get(item.kind, How.SOLICITED)
        source = item.at - WINDOW - 1 if item.kind == "stale" else item.at
        quality = np.array([200], np.int16) if item.kind == "bad" else None
        builder.add(item.device, source, item.at, 1, np.array([1.0]), quality, how)
    return builder.build(), events


def batch(watch: Watch, inputs: list[Input], until: int) -> list[Transition]:
    scans, events = columns(inputs)
    return watch.advance(scans, events, until)


@pytest.fixture(autouse=True, params=[1, 16], ids=["together", "one by one"], scope="module")
def many(request: pytest.FixtureRequest) -> Iterator[None]:
    """Connect devices together, or as few as these one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_MANY", request.param)
        yield


def started() -> Watch:
    watch = Watch(SINCE)
    watch.keep(np.array(DEVICES, np.int32), np.full(len(DEVICES), WINDOW))
    return watch


def clock(at: int, offset_us: int) -> Event:
    return Event("clock", 3, at, detail={"offset_us": offset_us, "accuracy_us": 1000})


def changes_of(transitions: list[Transition], device: int) -> list[tuple[int, State]]:
    return [(t.at, t.state) for t in transitions if t.device == device]
