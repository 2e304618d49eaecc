"""Sealing makes batches that continue one another, partition by partition, and lose nothing of the slots."""

from itertools import pairwise

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.envelope import Batch, decode, verify
from bus.subjects import PARTITIONS, partition_of
from gateway.collector import Collector
from gateway.outbox.records import Mark, Marks
from gateway.sealing import BATCH_BYTES, Seal, Sealer
from gateway.slots import Notice, Slot
from muster.clock import SECOND_US
from muster.events import Event, TextReading
from muster.scans import How

NOW = 1_700_000_000 * SECOND_US
BEAT = 50_000
KEY = Ed25519PrivateKey.generate()


def sealer(marks: Marks | None = None, epoch: int = 5) -> Sealer:
    return Sealer(3, epoch, KEY, marks or Marks())


def batches(seals: list[Seal], partition: int) -> list[Batch]:
    return [decode(sealed.body) for seal in seals for sealed in seal.batches if sealed.partition == partition]


def beats(collector: Collector, start: int, count: int, scans: int = 2) -> list[Slot]:
    slots: list[Slot] = []
    for index in range(count):
        at = start + (index + 1) * BEAT
        for device in range(scans):
            collector.scan(device, at - 9, at - 5, 1, np.array([at / 1e6, device]), None, How.SOLICITED)
        slots.append(collector.cut(at))
    return slots


def test_a_batch_is_signed_named_and_says_what_was_watched() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    (seal,) = sealer().seal(beats(collector, NOW, 10), NOW + SECOND_US)
    assert seal.through == 10
    for sealed in seal.batches:
        verify(sealed.body, sealed.signature, KEY.public_key())
        header = decode(sealed.body).header
        assert (header.gateway, header.partition, header.epoch, header.sequence) == (
            3,
            sealed.partition,
            5,
            1,
        )
        assert (header.watched_from, header.watched_until) == (NOW, NOW + 10 * BEAT)
        assert (header.watched_from, header.watched_until) == (sealed.watched_from, sealed.watched_until)
        assert (header.sealed_at, header.stopping) == (NOW + SECOND_US, False)
    assert [sealed.partition for sealed in seal.batches] == [0, 1], "the others had nothing to say yet"


@settings(max_examples=40)
@given(
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    devices=st.integers(0, 9),
    broken=st.sets(st.integers(1, 8)),
)
def test_every_scan_is_in_exactly_one_batch_and_spans_continue_within_a_watch(
    cuts: list[int], devices: int, broken: set[int]
) -> None:
    """Seals of so many slots each; before some of them the watch was broken."""
    collector = Collector(1)
    collector.begin(NOW)
    at = NOW
    made = sealer()
    seals: list[Seal] = []
    begins = {NOW}
    for index, count in enumerate(cuts):
        slots = beats(collector, at, count, devices)
        at += count * BEAT
        if index in broken:
            slots.append(collector.end(at))
            at += 7 * SECOND_US
            begins.add(at)
            collector.begin(at)
        seals += made.seal(slots, at, stopping=index == len(cuts) - 1)
    for partition in range(PARTITIONS):
        found = batches(seals, partition)
        assert [batch.header.sequence for batch in found] == list(range(1, len(found) + 1))
        received = [int(value) for batch in found for value in batch.scans.received]
        assert received == sorted(received)
        mine = [device for device in range(devices) if partition_of(device) == partition]
        assert sum(len(batch.scans) for batch in found) == len(mine) * sum(cuts)
        for before, after in pairwise(found):
            same_watch = after.header.watched_from == before.header.watched_until
            assert same_watch or after.header.watched_from in begins
        for batch in found:
            span = batch.header.watched_until - batch.header.watched_from
            assert 0 <= span <= 5 * SECOND_US
            assert all(
                batch.header.watched_from <= at <= batch.header.watched_until for at in batch.scans.received
            )


def test_a_silent_partition_is_heard_from_once_a_second() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    made = sealer()
    seals = [
        seal
        for index in range(20)
        for seal in made.seal(beats(collector, NOW + index * 10 * BEAT, 10, scans=1), NOW)
    ]
    assert len(batches(seals, 0)) == 20
    assert len(batches(seals, 3)) == 10


def test_slots_that_waited_long_become_several_batches_below_five_seconds() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    made = sealer()
    made.seal(beats(collector, NOW, 19, scans=0), NOW)
    seals = made.seal(beats(collector, NOW + 19 * BEAT, 400), NOW)
    for partition in range(PARTITIONS):
        found = batches(seals, partition)
        spans = [batch.header.watched_until - batch.header.watched_from for batch in found]
        assert max(spans) < 5 * SECOND_US
        assert sum(spans) == 419 * BEAT


def test_the_last_batches_say_that_the_gateway_stops_in_every_partition() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    seals = sealer().seal(beats(collector, NOW, 80), NOW, stopping=True)
    for partition in range(PARTITIONS):
        stopping = [batch.header.stopping for batch in batches(seals, partition)]
        assert stopping == [False] * (len(stopping) - 1) + [True]
    assert all(sealed.stopping for sealed in seals[-1].batches)


def test_the_journals_tail_continues_the_span_of_the_last_epoch() -> None:
    collector = Collector(11)
    collector.begin(NOW)
    marks = Marks(10, tuple(Mark(4, 9, NOW - lag) for lag in (0, 0, 400_000, 0)))
    (seal,) = sealer(marks).seal(beats(collector, NOW, 20), NOW)
    assert [batches([seal], partition)[0].header.watched_from for partition in range(PARTITIONS)] == [
        NOW,
        NOW,
        NOW - 400_000,
        NOW,
    ]
    assert batches([seal], 0)[0].header.sequence == 1


def test_a_new_watch_does_not_continue_the_last_epochs_span() -> None:
    collector = Collector(11)
    start = NOW + 300_000
    collector.begin(start)
    marks = Marks(10, tuple(Mark(4, 9, NOW) for _ in range(PARTITIONS)))
    (seal,) = sealer(marks).seal(beats(collector, start, 20), NOW)
    assert {batches([seal], partition)[0].header.watched_from for partition in range(PARTITIONS)} == {start}


def test_what_the_gateway_says_of_itself_goes_to_its_partition_or_to_all() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    everywhere = Event("gap", 0, 1, 2, "gateway-down")
    here = Event("gap", 0, 3, 4, "outbox-damaged")
    collector.notice(Notice(None, everywhere))
    collector.notice(Notice(2, here))
    collector.event(Event("session_up", 6, NOW))
    seals = sealer().seal(beats(collector, NOW, 1), NOW)
    assert [batches(seals, partition)[0].header.events for partition in range(PARTITIONS)] == [
        [everywhere],
        [everywhere],
        [everywhere, here, Event("session_up", 6, NOW)],
        [everywhere],
    ]


def test_a_flood_is_cut_into_batches_that_a_server_takes_and_nothing_of_it_is_lost() -> None:
    collector = Collector(1)
    collector.begin(NOW)
    for index in range(3000):
        collector.scan(4, NOW, NOW + index, 1, np.full(100, float(index)), None, How.SOLICITED)
    for index in range(2000):
        detail = {"vendor": "v" * 400}
        collector.event(Event("identity", 4, NOW + index, detail=detail))
        collector.text(TextReading(4, 1, NOW + index, NOW + index, "文" * 200))
    seals = sealer().seal([collector.cut(NOW + BEAT)], NOW)
    sizes = [len(sealed.body) for seal in seals for sealed in seal.batches]
    assert max(sizes) < 2 * BATCH_BYTES
    found = batches(seals, 0)
    assert [value for batch in found for value in batch.scans.value[::100]] == [float(i) for i in range(3000)]
    assert [event.at - NOW for batch in found for event in batch.header.events] == list(range(2000))
    assert [text.time - NOW for batch in found for text in batch.header.texts] == list(range(2000))
    assert found[-1].header.watched_until == NOW + BEAT


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.booleans()), max_size=40))
def test_each_partition_holds_its_devices_scans_in_the_order_in_which_they_came(
    put: list[tuple[int, int, bool]],
) -> None:
    collector = Collector(1)
    collector.begin(NOW)
    for index, (device, count, doubtful) in enumerate(put):
        quality = np.full(count, 64, np.int16) if doubtful else None
        collector.scan(device, NOW + index, NOW, 1, np.full(count, float(index)), quality, How.SOLICITED)
    seals = sealer().seal([collector.cut(NOW + 2 * SECOND_US)], NOW + 2 * SECOND_US)
    for partition in range(PARTITIONS):
        (batch,) = batches(seals, partition)
        mine = [(at, *one) for at, one in enumerate(put) if partition_of(one[0]) == partition]
        assert batch.scans.device.tolist() == [device for _, device, _, _ in mine]
        assert batch.scans.time.tolist() == [NOW + index for index, _, _, _ in mine]
        assert batch.scans.value.tolist() == [
            float(index) for index, _, count, _ in mine for _ in range(count)
        ]
        if batch.scans.quality is not None:
            wanted = [64 * doubtful for _, _, count, doubtful in mine for _ in range(count)]
            assert batch.scans.quality.tolist() == wanted
        else:
            assert not any(doubtful for _, _, _, doubtful in mine)
