"""The recorder loses nothing while the disk refuses, pauses rooms while it must, and says every gap."""

import os
from pathlib import Path

import pytest

from bus.subjects import PARTITIONS
from gateway.outbox.folder import Folder
from gateway.recorder import GRACE_S, RETRY_S
from gateway.recovery import recover
from muster.clock import SECOND_US
from muster.errors import Unavailable
from muster.events import Event
from tests.unit.gateway.recording import BEAT_S, KEY, Make, gaps, received


async def test_a_first_start_says_no_gap_and_seals_what_was_polled(bench: Make) -> None:
    gateway = bench()
    await gateway.beat(40)
    batches = await gateway.settled()
    assert received(batches) == gateway.given
    assert gaps(batches) == []


async def test_a_seal_of_nothing_waits_for_the_heartbeats_and_what_comes_meanwhile_is_sealed_at_once(
    bench: Make,
) -> None:
    gateway = bench()
    await gateway.beat(40)
    await gateway.settled()
    before = sealed = gateway.recorder.seals
    while sealed == before:
        await gateway.beat(1, poll=False)
        sealed = gateway.recorder.seals
    await gateway.beat(15, poll=False)
    assert gateway.recorder.seals == sealed
    await gateway.beat(1)
    assert gateway.recorder.seals == sealed + 1
    assert received(gateway.taken())[-1:] == gateway.given[-1:]
    for _ in range(3):
        await gateway.beat(21, poll=False)
        heard = [batch.header.partition for batch in gateway.taken()]
        assert sorted(heard) == list(range(PARTITIONS))


@pytest.mark.parametrize("beats_apart", [10, 11])
async def test_what_comes_steadily_is_sealed_in_the_beat_that_cuts_it(bench: Make, beats_apart: int) -> None:
    gateway = bench()
    await gateway.beat(13)
    for turn in range(20):
        before = gateway.recorder.seals
        await gateway.beat(1)
        at_once = gateway.recorder.seals - before
        await gateway.beat(9, poll=False)
        assert gateway.recorder.seals - before >= 1
        if turn >= 12:
            assert (at_once, gateway.recorder.seals - before) == (1, 1)
        await gateway.beat(beats_apart - 10, poll=False)
    assert received(await gateway.settled()) == gateway.given


async def test_after_a_kill_the_journals_tail_comes_first_and_the_gap_begins_where_it_ends(
    bench: Make,
) -> None:
    first = bench()
    await first.beat(34)
    first.poll()  # of the slot that was never cut
    lost = first.given.pop()
    first.kill()
    watermark = first.clock.now_us()
    first.clock.advance(7)
    second = bench()
    await second.beat(20)
    batches = await second.settled()
    assert received(batches) == first.given + second.given
    for partition in range(PARTITIONS):
        of_partition = [batch.header for batch in batches if batch.header.partition == partition]
        assert [(header.epoch, header.sequence) for header in of_partition] == sorted(
            {(header.epoch, header.sequence) for header in of_partition}
        )
        (gap,) = gaps(batches, partition)
        assert (gap.at, gap.until, gap.reason, gap.device) == (watermark, second.began, "gateway-down", 0)
        assert gap.at <= lost <= (gap.until or 0)
        new = [header for header in of_partition if header.epoch == second.recovered.sealer.epoch]
        carrying = next(header for header in new if gap in header.events)
        assert carrying.watched_from == second.began
        tail = next((header for header in new if header.sequence == 1), None)
        assert tail is not None
        if tail is not carrying:
            assert (tail.watched_until, carrying.sequence) == (watermark, 2)


async def test_a_kill_right_after_a_seal_was_written_seals_nothing_twice(bench: Make) -> None:
    """The seal is durable, but the journal still holds its slots."""
    first = bench()
    await first.beat(10)
    assert first.outbox.marks.through == 10
    first.kill()
    second = bench()
    await second.beat(10)
    assert sorted(received(await second.settled())) == first.given + second.given


async def test_a_kill_in_the_middle_of_a_seal_loses_nothing_and_doubles_nothing(
    bench: Make, tmp_path: Path
) -> None:
    first = bench()
    await first.beat(20)
    first.kill()
    (segment,) = (tmp_path / "outbox").glob("segment-*")
    os.truncate(segment, segment.stat().st_size - 30)
    second = bench()
    await second.beat(10)
    assert sorted(received(await second.settled())) == first.given + second.given


async def test_an_orderly_stop_says_so_and_the_next_start_calls_its_gap_by_that_name(bench: Make) -> None:
    first = bench()
    await first.beat(13)
    first.recorder.end()
    await first.recorder.finish()
    first.kill()
    stopped_at = first.clock.now_us()
    first.clock.advance(60)
    second = bench()
    await second.beat(10)
    batches = await second.settled()
    assert received(batches) == first.given + second.given
    assert [batch.header.stopping for batch in batches].count(True) == PARTITIONS
    (gap,) = gaps(batches)
    assert (gap.reason, gap.at, gap.until) == ("gateway-stopped", stopped_at, second.began)


async def test_a_full_outbox_pauses_rooms_ends_the_watch_and_says_the_gap_when_there_is_room(
    bench: Make,
) -> None:
    gateway = bench(limit=1 << 16)
    gateway.collector.event(Event("session_up", 1, gateway.clock.now_us()))
    while not gateway.collector.full:
        await gateway.beat()
    full_at = gateway.clock.now_us()
    assert gateway.outbox.size >= 1 << 16
    await gateway.beat(round(GRACE_S / BEAT_S) + 2)
    assert not gateway.collector.watching
    await gateway.beat(20)
    size = gateway.outbox.size
    await gateway.beat(400)
    assert gateway.outbox.size == size, "a full outbox does not grow"
    gateway.collector.event(Event("session_down", 1, gateway.clock.now_us(), reason="connection-lost"))
    batches = gateway.taken()
    paused_until = max(batch.header.watched_until for batch in batches)
    assert paused_until <= full_at + (GRACE_S + 2 * BEAT_S) * SECOND_US
    await gateway.beat(20)
    assert not gateway.collector.full
    batches += await gateway.settled()
    assert sorted(received(batches)) == gateway.given
    for partition in range(PARTITIONS):
        (gap,) = gaps(batches, partition)
        assert (gap.reason, gap.at) == ("outbox-full", full_at)
        assert gap.until is not None
        after = min(
            header.watched_from
            for header in (batch.header for batch in batches)
            if header.watched_from > paused_until
        )
        assert after == gap.until, "nobody claims to have watched in between"
    ((batch, down),) = [
        (batch, event) for batch in batches for event in batch.header.events if event.kind == "session_down"
    ]
    assert batch.header.watched_from == down.at > full_at, "said in the new watch"


async def test_a_disk_that_refuses_loses_nothing_that_was_polled(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = bench()
    await gateway.beat(20)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        await gateway.beat(400)
        assert gateway.collector.full
        assert gateway.recorder.trouble == "outbox-unwritable"
        assert gateway.recovered.journal.failed == "No space left on device"
        assert not gateway.collector.watching
    await gateway.beat(round(RETRY_S / BEAT_S) + 40)
    assert not gateway.collector.full
    batches = await gateway.settled()
    assert sorted(received(batches)) == gateway.given
    (gap,) = gaps(batches)
    assert gap.reason == "outbox-unwritable"
    names = [(batch.header.epoch, batch.header.sequence) for batch in batches if batch.header.partition == 1]
    assert names == sorted(set(names))


async def test_a_clock_that_is_set_breaks_the_watch_and_says_so(bench: Make) -> None:
    gateway = bench()
    await gateway.beat(15)
    before = gateway.clock.now_us()
    gateway.clock.jump(3600)
    await gateway.beat(15)
    gateway.clock.jump(-1800)
    await gateway.beat(15)
    batches = await gateway.settled()
    assert sorted(received(batches)) == sorted(gateway.given)
    forward, back = gaps(batches)
    assert (forward.reason, forward.at, forward.detail) == ("clock-jump", before, {"moved_s": 3600.0})
    assert (back.reason, back.detail) == ("clock-jump", {"moved_s": -1800.0})
    assert back.at < (back.until or 0)
    for batch in batches:
        header = batch.header
        assert 0 <= header.watched_until - header.watched_from < 5 * SECOND_US
        assert all(header.watched_from <= at <= header.watched_until for at in batch.scans.received)


async def test_a_process_that_stalled_does_not_claim_to_have_watched(bench: Make) -> None:
    gateway = bench()
    await gateway.beat(15)
    stalled_at = gateway.clock.now_us()
    gateway.clock.advance(30)
    await gateway.beat(25)
    batches = await gateway.settled()
    assert sorted(received(batches)) == gateway.given
    (gap,) = gaps(batches)
    assert (gap.reason, gap.at) == ("gateway-stalled", stalled_at)
    assert (gap.until or 0) >= stalled_at + 30 * SECOND_US
    for header in (batch.header for batch in batches):
        assert not (header.watched_from < stalled_at + SECOND_US < header.watched_until)


async def test_a_hole_in_the_journal_becomes_a_gap(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench()
    await first.beat(12)

    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        hole = first.clock.now_us()
        await first.beat(1)
    missing = first.given.pop()
    await first.beat(2)
    first.kill()
    first.clock.advance(3)
    second = bench()
    await second.beat(10)
    batches = await second.settled()
    assert received(batches) == first.given + second.given
    damaged, down = gaps(batches)
    assert (damaged.reason, down.reason) == ("outbox-damaged", "gateway-down")
    assert hole == damaged.at <= missing <= (damaged.until or 0)


async def test_a_flipped_bit_in_the_newest_seal_loses_nothing_because_the_journal_still_has_it(
    bench: Make, tmp_path: Path
) -> None:
    first = bench()
    await first.beat(40)
    first.kill()
    (segment,) = (tmp_path / "outbox").glob("segment-*")
    content = bytearray(segment.read_bytes())
    content[content.index(b'"partition":1,"epoch":1700000000,"sequence":4')] ^= 1
    segment.write_bytes(content)
    second = bench()
    await second.beat(10)
    assert sorted(received(await second.settled())) == first.given + second.given


async def test_what_the_outbox_lost_is_said_as_a_gap_of_its_partition(bench: Make, tmp_path: Path) -> None:
    first = bench()
    await first.beat(40)
    first.kill()
    (segment,) = (tmp_path / "outbox").glob("segment-*")
    content = bytearray(segment.read_bytes())
    content[content.index(b'"partition":1,"epoch":1700000000,"sequence":2')] ^= 1
    segment.write_bytes(content)
    second = bench()
    early = second.taken()
    await second.beat(40)
    batches = early + await second.settled()
    damaged = [
        (batch.header.partition, event)
        for batch in batches
        for event in batch.header.events
        if event.reason == "outbox-damaged"
    ]
    ((partition, gap),) = damaged
    missing = set(first.given) - set(received(batches))
    assert partition == 1
    assert len(missing) == 10
    assert all(gap.at <= at <= (gap.until or 0) for at in missing)


def test_a_disk_that_refuses_at_the_start_is_unavailable_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(Unavailable, match="No space left"):
            recover(folder, 1 << 20, 3, KEY, 1_700_000_000 * SECOND_US)
    recovered = recover(folder, 1 << 20, 3, KEY, 1_700_000_000 * SECOND_US)
    recovered.journal.close()
    recovered.outbox.close()
    folder.close()
