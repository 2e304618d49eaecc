"""Changes laid into scans all at once give the scans that they give one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.opcua.config import understand
from gateway.adapters.opcua.landing import Watched
from gateway.adapters.opcua.notification import read_publish
from gateway.adapters.opcua.station import Station
from gateway.adapters.opcua.usual import read_usual
from muster.clock import ManualClock
from muster.device import Device, ReportMode, Tag
from muster.quality import Quality
from muster.scans import How
from tests.hearing import Hearing, Seen
from tests.unit.opcua.test_notification import TYPE, response, same_shape, times, told, values

RECEIVED = 1_790_000_000_000_000


class Kept(Hearing[Any]):
    """Keeps values by their bits."""

    def keep(self, seen: Seen) -> None:
        said = None if seen.quality is None else seen.quality.tolist()
        bits = seen.value.astype(np.float64).tobytes()
        self.scans.append((seen.device, seen.time, seen.received, seen.first, bits, said, seen.how))


KINDS = ("float64", "float32", "int32", "uint64", "bool", "string", "datetime", "enum")


def station(number: int, sink: Kept) -> Station:
    """A device with gaps in its positions, every type, a scaled tag and a part of an array."""
    tags = [Tag(2 * at + 1, f"v{at}", kind, {"node": f"i={at}"}) for at, kind in enumerate(KINDS)]
    tags.append(Tag(20, "scaled", "float64", {"node": "i=20"}, scale=1e10, offset=-0.5))
    tags.append(Tag(21, "part", "float64", {"node": "i=21", "index": 1}))
    connection = {"url": "opc.tcp://h", "security": {"policy": "None", "mode": "none"}}
    device = Device(number, 1, "d", "d", 1, "opcua", connection, ReportMode.PERIODIC, 1.0, tags)
    return Station(device, understand(device), sink, ManualClock())


STATIONS = 3
PLACES = len(KINDS) + 2
known = st.integers(1, STATIONS * PLACES)


FITTING = {
    "float64": (TYPE.Double, st.floats(allow_nan=False, allow_infinity=False)),
    "float32": (TYPE.Float, st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "int32": (TYPE.Int32, st.integers(-(2**31), 2**31 - 1)),
    "uint64": (TYPE.UInt64, st.integers(0, 2**53 + 1)),
    "bool": (TYPE.Boolean, st.booleans()),
    "enum": (TYPE.Int32, st.integers(-5, 5)),
}


@st.composite
def fitting(draw: st.DrawFn) -> list[tuple[int, ua.DataValue]]:
    """What machines send: of some devices some tags, in the types that they have, each device's of one time."""
    status = draw(st.sampled_from([None, ua.StatusCode(0)]))
    server = draw(st.none() | times)
    said = []
    for number in draw(st.permutations(range(STATIONS))):
        at = draw(times)
        for place in sorted(draw(st.sets(st.integers(0, len(KINDS) - 1)))):
            if KINDS[place] in FITTING:
                kind, value = FITTING[KINDS[place]]
                variant = ua.Variant(draw(value), kind)
                moment = draw(times) if draw(st.integers(0, 40)) == 0 else at
                made = ua.DataValue(variant, status, SourceTimestamp=moment, ServerTimestamp=server)
                said.append((1 + number * PLACES + place, made))
    return said or [(1, ua.DataValue(ua.Variant(0.5, TYPE.Double), status, SourceTimestamp=draw(times)))]


@settings(max_examples=400)
@given(
    fitting()
    | st.lists(st.tuples(known, values()), min_size=1, max_size=12)
    | st.tuples(known, same_shape).map(
        lambda both: [(1 + (both[0] + at) % (STATIONS * PLACES), one) for at, one in enumerate(both[1])]
    )
)
def test_all_at_once_is_as_one_by_one(items: list[tuple[int, ua.DataValue]]) -> None:
    together, again, singly = Kept(), Kept(), Kept()
    watched, others = Watched(), Watched()
    places: dict[int, tuple[Station, Any]] = {}
    for number in range(1, STATIONS + 1):
        own = station(number, singly)
        others.add(station(number, again))
        for handle, place in zip(watched.add(station(number, together)), own.understood.places, strict=True):
            places[handle] = (own, place)
    body = response(told(items))
    changes = read_publish(body).changes
    assert changes is not None
    watched.take(changes, RECEIVED)
    usual = read_usual(body)
    if usual is not None:
        assert usual.changes is not None
        others.take(usual.changes, RECEIVED)
        assert sorted(again.scans, key=repr) == sorted(together.scans, key=repr)
    by_station: dict[Station, list[Any]] = {}
    for handle, value in items:
        own, place = places[handle]
        by_station.setdefault(own, []).append((place, value))
    for own, changed in by_station.items():
        own.take(changed, RECEIVED, How.UNSOLICITED)
    assert sorted(together.scans, key=repr) == sorted(singly.scans, key=repr)
    assert sorted(together.texts, key=repr) == sorted(singly.texts, key=repr)


def numbers(*handles: int, status: int = 0) -> Any:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    value = [
        (handle, ua.DataValue(ua.Variant(float(handle), ua.VariantType.Double), ua.StatusCode(status), at))
        for handle in handles
    ]
    return read_publish(response(told(value))).changes


def test_changes_that_nobody_watches_are_not_kept() -> None:
    sink, watched = Kept(), Watched()
    one, two = station(1, sink), station(2, sink)
    watched.add(one)
    watched.add(two)
    watched.drop(one)
    watched.take(numbers(1, 2, 0, 999, 2**32 - 1), RECEIVED)
    assert sink.scans == []
    watched.take(numbers(1, PLACES + 1), RECEIVED)
    assert [scan[0] for scan in sink.scans] == [2]


def test_a_full_sink_is_put_nothing() -> None:
    sink, watched = Kept(), Watched()
    watched.add(station(1, sink))
    sink.full = True
    watched.take(numbers(1, 2), RECEIVED)
    assert sink.scans == []


def test_a_queue_that_ran_over_is_a_gap_of_its_device_and_the_value_stays_good() -> None:
    sink, watched = Kept(), Watched()
    one = station(1, sink)
    watched.add(one)
    watched.add(station(2, sink))
    watched.take(numbers(1, PLACES + 1), RECEIVED)
    watched.take(numbers(1, PLACES + 1, status=0x0400), RECEIVED + 1)
    assert sink.events == []
    watched.take(numbers(1, status=0x0480), RECEIVED + 1_000_000)
    (gap,) = sink.events
    assert (gap.kind, gap.device, gap.reason) == ("gap", 1, "opcua.queue-overflow")
    assert (gap.at, gap.until) == (RECEIVED + 1, RECEIVED + 1_000_000)
    assert sink.scans[-1][5] is None
    assert one.report().errors == {"opcua.queue-overflow": 1}


def test_a_station_that_comes_when_the_table_is_full_has_its_own_handles() -> None:
    sink, watched = Kept(), Watched()
    for number in range(1, 60):
        watched.add(station(number, sink))
    watched.take(numbers(58 * PLACES + 1), RECEIVED)
    assert [(scan[0], scan[3]) for scan in sink.scans] == [(59, 1)]


def test_the_same_tag_and_time_twice_is_two_scans_in_their_order() -> None:
    sink, watched = Kept(), Watched()
    watched.add(station(1, sink))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    items = [
        (1, ua.DataValue(ua.Variant(value, ua.VariantType.Double), SourceTimestamp=when))
        for value, when in ((1.0, at), (2.0, at), (3.0, at - timedelta(seconds=1)), (4.0, at))
    ]
    changes = read_publish(response(told(items))).changes
    assert changes is not None
    watched.take(changes, RECEIVED)
    assert [np.frombuffer(scan[4])[0] for scan in sink.scans] == [3.0, 1.0, 2.0, 4.0]
    assert Quality.GOOD == 0


def test_a_handle_that_a_server_made_up_is_nobodys() -> None:
    watched, sink = Watched(), Kept()
    tags = [Tag(1, "t", "string", {"node": "ns=2;s=T"})]
    connection = {"url": "opc.tcp://h", "security": {"policy": "None", "mode": "none"}}
    device = Device(1, 1, "d", "d", 1, "opcua", connection, ReportMode.PERIODIC, 1.0, tags)
    watched.add(Station(device, understand(device), sink, ManualClock(RECEIVED)))
    for handle in (0, 2, 40, 2**32 - 1):
        changes = read_publish(response(told([(handle, ua.DataValue(ua.Variant("x")))]))).changes
        assert changes is not None
        watched.take(changes, RECEIVED)
    assert (sink.scans, sink.texts) == ([], [])
