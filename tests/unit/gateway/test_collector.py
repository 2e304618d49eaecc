"""The collector keeps what rooms give it, slot by slot, and what happens to sessions outside a watch."""

from collections.abc import Callable
from functools import partial

import numpy as np

from gateway.collector import Collector
from gateway.slots import encode_slot, scans_of
from gateway.watch import Break, Watch
from muster.clock import SECOND_US
from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import NULL, How

NOW = 1_700_000_000 * SECOND_US


def put(collector: Collector, device: int, received: int, values: list[float]) -> None:
    collector.scan(device, received - 5, received, 1, np.array(values), None, How.SOLICITED)


def test_scans_come_out_as_they_went_in_with_qualities_only_where_given() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    reused = np.array([1.5, 2.5])
    collector.scan(7, NOW + 1, NOW + 2, 3, reused, None, How.SOLICITED)
    reused[:] = 0
    bad = np.array([Quality.BAD], np.int16)
    collector.scan(8, NOW + 3, NOW + 4, 1, np.array([9.0]), bad, How.HISTORY)
    collector.scan(9, NOW + 5, NOW + 6, 1, np.arange(8.0)[::2], None, How.UNSOLICITED)
    collector.scan(9, NOW + 5, NOW + 6, 1, np.array([5], np.int32), None, How.UNSOLICITED)  # type: ignore[arg-type]
    collector.good(7, NOW + 7, NOW + 8, 2, np.array([0.5, -0.0]).tobytes(), How.UNSOLICITED)
    scans = scans_of([collector.cut(NOW + 10)])
    assert scans.device.tolist() == [7, 8, 9, 9, 7]
    assert scans.time.tolist() == [NOW + 1, NOW + 3, NOW + 5, NOW + 5, NOW + 7]
    assert scans.received.tolist() == [NOW + 2, NOW + 4, NOW + 6, NOW + 6, NOW + 8]
    assert scans.first.tolist() == [3, 1, 1, 1, 2]
    assert scans.how.tolist() == [How.SOLICITED, How.HISTORY, *[How.UNSOLICITED] * 3]
    assert scans.offsets.tolist() == [0, 2, 3, 7, 8, 10]
    assert scans.value.tolist() == [1.5, 2.5, 9.0, 0.0, 2.0, 4.0, 6.0, 5.0, 0.5, -0.0]
    assert scans.quality is not None
    assert scans.quality.tolist() == [0, 0, Quality.BAD, *[0] * 7]
    assert (collector.scans, collector.readings) == (5, 10)


def test_rows_are_the_scans_that_they_would_be_one_by_one() -> None:
    together, alone = Collector(1), Collector(1)
    value = np.array([[1.5, -0.0], [2.5, NULL], [3.5, 7.0]])
    for collector in (together, alone):
        collector.begin(NOW)
        put(collector, 9, NOW + 1, [5.0])
    together.rows([7, 8, 2_000_000_000], NOW + 1, NOW + 2, 3, value, How.SOLICITED)
    for device, row in zip([7, 8, 2_000_000_000], value, strict=True):
        alone.scan(device, NOW + 1, NOW + 2, 3, row, None, How.SOLICITED)
    assert encode_slot(together.cut(NOW + 3), 1) == encode_slot(alone.cut(NOW + 3), 1)
    assert (together.scans, together.readings) == (alone.scans, alone.readings) == (4, 7)


def test_rows_that_would_spoil_their_batch_are_refused_each_and_wake_nobody() -> None:
    collector, stirred = Collector(1), list[int]()
    collector.rows([1, 2], NOW, NOW, 1, np.ones((2, 1)), How.SOLICITED)
    collector.begin(NOW)
    collector.on_first = lambda: stirred.append(1)
    collector.rows([1, 2], NOW, NOW, 1, np.empty((2, 0)), How.SOLICITED)
    collector.rows([1, 2], NOW, NOW, 0, np.ones((2, 1)), How.SOLICITED)
    collector.rows([1, 2], 2**63, NOW, 1, np.ones((2, 1)), How.SOLICITED)
    collector.rows([], NOW, NOW, 1, np.empty((0, 1)), How.SOLICITED)
    collector.rows([1, 2], NOW, NOW, 1, np.ones((3, 1)), How.SOLICITED)
    collector.fence = lambda: True
    collector.rows([1, 2], NOW, NOW, 1, np.ones((2, 1)), How.SOLICITED)
    assert (collector.refused, collector.scans, stirred) == (12, 0, [])
    assert collector.idle


def test_a_scan_that_would_poison_its_batch_is_counted_and_not_kept() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    collector.scan(1, NOW, NOW, 1, np.empty(0), None, How.SOLICITED)
    collector.scan(1, NOW, NOW, 0, np.array([1.0]), None, How.SOLICITED)
    collector.scan(1, NOW, NOW, 1, np.array([1.0]), np.array([0, 0], np.int16), How.SOLICITED)
    collector.scan(1, 2**63, NOW, 1, np.array([1.0]), None, How.SOLICITED)
    collector.text(TextReading(1, 1, -(2**62), NOW, "x"))
    collector.good(1, NOW, NOW, 1, b"", How.SOLICITED)
    collector.good(1, NOW, NOW, 0, bytes(8), How.SOLICITED)
    collector.good(1, NOW, NOW, 1, bytes(9), How.SOLICITED)
    collector.good(1, 2**63, NOW, 1, bytes(8), How.SOLICITED)
    assert collector.refused == 9
    assert len(scans_of([collector.cut(NOW + 1)])) == 0


def test_slots_follow_one_another_without_a_hole() -> None:
    collector = Collector(41)
    collector.begin(NOW)
    first, second = collector.cut(NOW + 50), collector.cut(NOW + 40)
    assert (first.number, first.since, first.watermark) == (41, NOW, NOW + 50)
    assert (second.number, second.since, second.watermark) == (42, NOW + 50, NOW + 50)


def test_outside_a_watch_nothing_is_kept_but_what_happened_to_sessions_is_said_in_the_next() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    collector.event(Event("session_up", 1, NOW))
    collector.end(NOW + 10)
    identity = Event("identity", 5, NOW + 15, detail={"vendor": "x"}, origin="simulated")
    collector.event(identity)
    collector.event(Event("session_down", 2, NOW + 20, reason="closed"))
    collector.event(Event("session_up", 3, NOW + 20))
    collector.event(Event("session_up", 2, NOW + 30))
    collector.event(Event("error", 3, NOW + 30, reason="timeout"))
    collector.event(Event("removed", 3, NOW + 40))
    collector.event(Event("gap", 2, NOW + 40, NOW + 41, reason="slow"))
    put(collector, 1, NOW + 30, [1.0])
    collector.text(TextReading(1, 1, NOW, NOW, "x"))
    assert collector.refused == 2
    collector.begin(NOW + 100)
    slot = collector.cut(NOW + 150)
    assert [(event.kind, event.device, event.at) for event in slot.events] == [
        ("identity", 5, NOW + 100),
        ("session_up", 2, NOW + 100),
        ("removed", 3, NOW + 100),
    ]
    assert (slot.events[0].detail, slot.events[0].origin) == (identity.detail, identity.origin)
    assert (slot.since, len(scans_of([slot]))) == (NOW + 100, 0)
    collector.end(NOW + 200)
    collector.begin(NOW + 300)
    assert collector.cut(NOW + 350).events == []


def test_a_slewed_clock_is_no_break_and_a_set_one_is() -> None:
    watch = Watch(NOW, 100.0)
    assert watch.beat(NOW + 50_000, 100.05) is None
    assert watch.beat(NOW + 950_000, 100.10) is None, "slewed by 0.85 s"
    jump = watch.beat(NOW + 3600 * SECOND_US, 100.15)
    assert jump is not None
    assert (jump.reason, jump.ended, jump.begins) == (
        "clock-jump",
        NOW + 950_000,
        NOW + 3600 * SECOND_US,
    )
    assert jump.moved_us == 3600 * SECOND_US - 950_000 - 50_000
    back = watch.beat(NOW, 100.2)
    assert back is not None
    assert back.moved_us < 0
    stall = watch.beat(NOW + 5 * SECOND_US, 105.2)
    assert stall is not None
    assert (stall.reason, stall.moved_us) == ("gateway-stalled", 0)


def test_a_clock_set_forward_parts_the_slot_by_the_clock_that_stamped_each_scan() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    collector.event(Event("session_up", 1, NOW))
    collector.cut(NOW + 50_000)
    put(collector, 1, NOW + 60_000, [1.0, 2.0])
    collector.event(Event("answer", 1, NOW + 61_000))
    hour = 3600 * SECOND_US
    put(collector, 2, NOW + hour + 80_000, [3.0])
    collector.text(TextReading(2, 1, NOW, NOW + hour + 81_000, "x"))
    earlier = collector.part(Break("clock-jump", NOW + 50_000, NOW + hour + 100_000, hour))
    later = collector.cut(NOW + hour + 150_000)
    assert scans_of([earlier]).device.tolist() == [1]
    assert [event.kind for event in earlier.events] == ["answer"]
    assert (earlier.since, earlier.watermark) == (NOW + 50_000, NOW + 60_000)
    assert scans_of([later]).value.tolist() == [3.0]
    assert (later.number, later.since) == (earlier.number + 1, NOW + hour + 80_000)
    assert later.events == []
    assert later.texts[0].value == "x"
    (notice,) = later.notices
    assert (notice.event.at, notice.event.until) == (earlier.watermark, later.since)
    assert notice.event.detail == {"moved_s": 3600.0}


def test_a_clock_set_back_parts_the_slot_too_and_its_gap_is_not_turned_round() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    put(collector, 1, NOW + 30_000, [1.0])
    put(collector, 2, NOW - 10 * SECOND_US + 40_000, [2.0])
    earlier = collector.part(Break("clock-jump", NOW, NOW - 10 * SECOND_US + 50_000, -10 * SECOND_US))
    later = collector.cut(NOW - 10 * SECOND_US + 100_000)
    assert scans_of([earlier]).device.tolist() == [1]
    assert scans_of([later]).device.tolist() == [2]
    assert later.since == NOW - 10 * SECOND_US + 40_000
    gap = later.notices[0].event
    assert gap.until is not None
    assert gap.at < gap.until


def test_whatever_way_something_is_put_into_an_empty_slot_its_writing_is_asked_for() -> None:
    one = np.array([1.0])
    ways: list[Callable[[Collector], None]] = [
        lambda to: to.scan(1, NOW, NOW, 1, one, None, How.SOLICITED),
        lambda to: to.good(1, NOW, NOW, 1, one.tobytes(), How.SOLICITED),
        lambda to: to.text(TextReading(1, 1, NOW, NOW, "on", 0)),
        lambda to: to.event(Event("session_up", 1, NOW)),
    ]
    for way in ways:
        collector = Collector(1)
        collector.begin(NOW)
        asked: list[bool] = []
        collector.on_first = partial(asked.append, True)
        way(collector)
        way(collector)
        assert len(asked) == 1
