"""What one second of the live stream tells, for every scope. Pure.

A scope is an enterprise's number, or None for the operator's view of all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from api.models.counts import DefinitionAnswer, FrameAnswer
from api.models.live import DeviceState, LiveCount, LiveScope, LiveStates, LiveWindow
from evidence.counting.count import SCOPES, Count, Scope, count, frame
from evidence.counting.devices import DeviceAt, Devices
from evidence.counting.timeline import Window
from muster.presence import Definition, State

_AGES_S = (5.0, 15.0, 60.0, 300.0, 3600.0)
"""An age that passes one of these is a change worth telling; in between, viewers let the age go on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One device as a square shows it. step: how many of the ages it has passed."""

    state: State
    received: datetime | None
    step: int

    @classmethod
    def of(cls, state: State, received: datetime | None, at: datetime) -> "Seen":
        """Return how a device in `state` whose newest reading came at `received` looks at `at`."""
        age_s = (at - received).total_seconds() if received else None
        return cls(state, received, 99 if age_s is None else sum(age_s > limit for limit in _AGES_S))

    def entry(self, device: int, at: datetime) -> DeviceState:
        """Return its entry in a `states` event."""
        age_s = None if self.received is None else max(round((at - self.received).total_seconds(), 1), 0.0)
        return (device, self.state.word, age_s)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything known at one second. number: rises by one with each.

    changed, gone: against the tick before. enterprise: of each device, by number.
    """

    number: int
    at: datetime
    devices: Devices
    enterprise: Mapping[int, int]
    seen: Mapping[int, Seen]
    changed: frozenset[int]
    gone: Mapping[int, int]
    windows: Mapping[tuple[int | None, Scope], Window]
    texts: dict[tuple[int | None, str], str] = field(default_factory=dict)
    """Serialized events by scope and sort, kept so that any number of viewers cost one serialization."""

    def visible(self, scope: int | None) -> Devices:
        """Return the devices that `scope` sees."""
        if scope is None:
            return self.devices
        numbers = self.devices.device.tolist()
        return self.devices.at(
            np.array([self.enterprise.get(device) == scope for device in numbers], np.bool_)
        )


def follow(
    before: Tick | None,
    at: datetime,
    devices: Iterable[DeviceAt],
    enterprise: Mapping[int, int],
    received: Mapping[int, datetime],
    windows: Mapping[tuple[int | None, Scope], Window],
) -> Tick:
    """Return the tick after `before`."""
    columns = Devices.of(devices)
    states = [kind.state for kind in columns.kinds]
    seen = {
        device: Seen.of(states[kind], received.get(device), at)
        for device, kind in zip(columns.device.tolist(), columns.kind.tolist(), strict=True)
    }
    was = before.seen if before else {}
    changed = frozenset(
        device
        for device, now in seen.items()
        if (then := was.get(device)) is None or (then.state, then.step) != (now.state, now.step)
    )
    known = before.enterprise if before else {}
    gone = {device: known.get(device, 0) for device in was if device not in seen}
    number = before.number + 1 if before else 1
    return Tick(number, at, columns, enterprise, seen, changed, gone, windows)


def count_text(tick: Tick, scope: int | None, families: Mapping[str, str], definition: Definition) -> str:
    """Return the data of the `count` event of a tick for `scope`."""
    key = (scope, "count")
    if key not in tick.texts:
        devices = tick.visible(scope)
        whole = frame(devices)
        scopes = {
            word: live_scope(count(devices, word, families), tick.windows.get((scope, word)))
            for word in SCOPES
        }
        tick.texts[key] = LiveCount(
            at=tick.at,
            definition=DefinitionAnswer.of(definition),
            frame=FrameAnswer.of(whole),
            **scopes,
        ).model_dump_json()
    return tick.texts[key]


def live_scope(counted: Count, window: Window | None) -> LiveScope:
    """Return a count as the live stream tells it."""
    return LiveScope(
        marked=counted.marked,
        connected=counted.connected,
        by_state=dict(counted.by_state),
        by_protocol=dict(counted.by_protocol),
        by_class=dict(counted.by_class),
        by_enterprise=dict(counted.by_enterprise),
        by_industry=dict(counted.by_industry),
        by_origin=dict(counted.by_origin),
        excluded_total=len(counted.excluded),
        excluded_by_reason=dict(counted.by_reason),
        window=None
        if window is None
        else LiveWindow(
            min=window.minimum,
            median=window.median,
            p5=window.p5,
            observed_share=window.observed_share,
        ),
    )


def snapshot_text(tick: Tick, scope: int | None) -> str:
    """Return the data of a `states` event that replaces everything known before."""
    key = (scope, "snapshot")
    if key not in tick.texts:
        visible = tick.visible(scope).device.tolist()
        tick.texts[key] = _states(tick, True, visible, [])
    return tick.texts[key]


def changes_text(ticks: Sequence[Tick], scope: int | None) -> str | None:
    """Return the data of a `states` event that leads over consecutive `ticks`, None when nothing changed."""
    last = ticks[-1]
    key = (scope, f"changes {len(ticks)}")
    if key not in last.texts:
        touched = {device for tick in ticks for device in tick.changed}
        left = {device: owner for tick in ticks for device, owner in tick.gone.items()}
        visible = [d for d in touched if d in last.seen and scope in (None, last.enterprise.get(d))]
        gone = [d for d, owner in left.items() if d not in last.seen and scope in (None, owner)]
        last.texts[key] = _states(last, False, sorted(visible), sorted(gone)) if visible or gone else ""
    return last.texts[key] or None


def _states(tick: Tick, snapshot: bool, devices: Iterable[int], gone: list[int]) -> str:
    entries = [tick.seen[device].entry(device, tick.at) for device in devices]
    return LiveStates(at=tick.at, snapshot=snapshot, states=entries, gone=gone).model_dump_json()
