"""What one second of the live stream tells, and what leads from an earlier second to now."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from api.live.tick import Tick, changes_text, count_text, follow, snapshot_text
from evidence.counting.devices import DeviceAt
from muster.device import Origin
from muster.presence import Definition, State

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
OWNERS = {1: 10, 2: 10, 3: 20}


def tick(before: Tick | None, states: Mapping[int, State], ages: Mapping[int, float] | None = None) -> Tick:
    at = NOW if before is None else before.at + timedelta(seconds=1)
    devices = [
        DeviceAt(
            number,
            f"D-{number}",
            "",
            f"e{OWNERS[number]}",
            "",
            "operating",
            True,
            "modbus",
            Origin.SIMULATED,
            state,
            "",
            None,
        )
        for number, state in states.items()
    ]
    received = {number: at - timedelta(seconds=age) for number, age in (ages or {}).items()}
    return follow(before, at, devices, OWNERS, received, {})


def read(text: str | None) -> dict[str, Any]:
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    return found


UP = {1: State.CONNECTED, 2: State.CONNECTED, 3: State.CONNECTED}


def test_a_snapshot_holds_what_the_scope_sees() -> None:
    first = tick(None, UP, {1: 0.5})
    assert read(snapshot_text(first, None))["states"] == [
        [1, "connected", 0.5],
        [2, "connected", None],
        [3, "connected", None],
    ]
    assert [entry[0] for entry in read(snapshot_text(first, 20))["states"]] == [3]
    assert read(snapshot_text(first, 30))["states"] == []


def test_nothing_is_told_when_nothing_changed() -> None:
    first = tick(None, UP, {1: 1.0})
    assert changes_text([tick(first, UP, {1: 2.0})], None) is None


def test_an_age_is_told_when_it_passes_a_limit_or_starts_anew() -> None:
    first = tick(None, UP, {1: 4.5})
    second = tick(first, UP, {1: 5.5})
    assert read(changes_text([second], None))["states"] == [[1, "connected", 5.5]]
    assert read(changes_text([tick(second, UP, {1: 0.2})], None))["states"] == [[1, "connected", 0.2]]


def test_changes_over_several_seconds_are_told_once_as_they_are_now() -> None:
    first = tick(None, UP)
    second = tick(first, {**UP, 1: State.OFFLINE})
    third = tick(second, {**UP, 1: State.LINKED, 2: State.OFFLINE})
    fourth = tick(third, {1: State.LINKED, 2: State.CONNECTED})
    told = read(changes_text([second, third, fourth], None))
    assert told["states"] == [[1, "linked", None], [2, "connected", None]]
    assert told["gone"] == [3]
    assert told["snapshot"] is False
    assert read(changes_text([fourth], 20)) == {
        "at": "2026-11-23T08:00:03Z",
        "snapshot": False,
        "states": [],
        "gone": [3],
    }
    assert changes_text([second], 20) is None


def test_another_enterprises_change_is_not_told() -> None:
    first = tick(None, UP)
    second = tick(first, {**UP, 3: State.OFFLINE})
    assert changes_text([second], 10) is None
    assert read(changes_text([second], 20))["states"] == [[3, "offline", None]]


def test_one_serialization_serves_every_viewer_of_a_scope() -> None:
    first = tick(None, UP)
    assert snapshot_text(first, 10) is snapshot_text(first, 10)
    told = count_text(first, 10, {"modbus": "Modbus"}, Definition())
    assert told is count_text(first, 10, {}, Definition())
    assert read(told)["rehearsal"]["by_protocol"] == {"Modbus": 2}
