"""What the recorder says is durable: a source is acknowledged no sooner."""

from muster.clock import SECOND_US
from tests.unit.gateway.recording import Bench, Make, gaps, received


class Disk:
    """Takes what must stand before a slot, or not."""

    def __init__(self, gateway: Bench) -> None:
        self.takes = True
        gateway.collector.watch_cut(lambda: self.takes)


async def test_what_was_put_under_a_mark_is_told_durable_only_when_it_is_sealed(bench: Make) -> None:
    gateway = bench()
    told: list[int] = []
    end = gateway.collector.watch_sealed(told.append)
    await gateway.beat()
    mark = gateway.collector.mark()
    assert mark is not None
    gateway.poll()
    await gateway.beat(2)
    assert gateway.collector.sealed < mark
    assert told == []
    await gateway.beat(12)
    assert gateway.collector.sealed >= mark
    assert told == sorted(set(told))
    sealed = received(gateway.taken())
    assert sealed == gateway.given[: len(sealed)]
    assert len(sealed) > mark
    end()
    count = len(told)
    await gateway.beat(12)
    assert len(told) == count


async def test_before_a_slot_may_be_durable_it_is_asked_what_must_stand_before_it(bench: Make) -> None:
    gateway = bench()
    journalled: list[int] = []
    collector = gateway.collector

    def write() -> bool:
        journalled.append(max((slot.number for slot in gateway.recorder._pending), default=0))
        return True

    end = collector.watch_cut(write)
    for cut in (gateway.recorder.beat, gateway.recorder.beat, gateway.recorder.end):
        gateway.poll()
        mark = collector.mark()
        assert mark is not None
        cut()
        assert journalled.pop() < mark
        assert gateway.recorder._pending[-1].number == mark
        gateway.clock.jump(3600)  # the next beat parts its slot
    assert journalled == []
    end()


async def test_nothing_becomes_durable_before_what_must_stand_before_it(bench: Make) -> None:
    gateway = bench()
    disk = Disk(gateway)
    await gateway.beat(20)
    before, disk.takes = len(gateway.given), False
    await gateway.beat(20)
    assert gateway.collector.full
    gateway.kill()
    again = bench()
    await again.beat(10)
    assert received(await again.settled()) == gateway.given[:before] + again.given


async def test_what_must_stand_before_it_may_come_late_and_then_nothing_is_lost(bench: Make) -> None:
    gateway = bench()
    disk = Disk(gateway)
    await gateway.beat(20)
    paused_at, disk.takes = gateway.clock.now_us(), False
    await gateway.beat(100)
    assert not gateway.collector.watching
    disk.takes = True
    await gateway.beat(40)
    batches = await gateway.settled()
    assert received(batches) == gateway.given
    (gap,) = gaps(batches)
    assert gap.reason == "outbox-unwritable"
    assert paused_at <= gap.at < paused_at + SECOND_US


async def test_what_may_not_become_durable_is_not_sealed_at_the_end_either(bench: Make) -> None:
    gateway = bench()
    disk = Disk(gateway)
    await gateway.beat(20)
    before, disk.takes = len(gateway.given), False
    await gateway.beat(3)
    gateway.recorder.end()
    await gateway.recorder.finish()
    assert received(gateway.taken()) == gateway.given[:before]


async def test_a_mark_rises_over_a_restart_and_none_is_given_outside_a_watch(bench: Make) -> None:
    first = bench()
    await first.beat(15)
    mark = first.collector.mark()
    assert mark is not None
    first.collector.full = True
    assert first.collector.mark() is None
    first.collector.full = False
    first.recorder.end()
    assert first.collector.mark() is None
    first.kill()
    second = bench()
    again = second.collector.mark()
    assert again is not None
    assert again >= mark
    assert second.collector.sealed == again - 1


async def test_when_a_slot_is_parted_by_a_clock_jump_its_mark_is_durable_with_the_later_half(
    bench: Make,
) -> None:
    gateway = bench()
    await gateway.beat(3)
    mark = gateway.collector.mark()
    assert mark is not None
    gateway.clock.jump(3600)
    gateway.poll()
    gateway.collector.tell_sealed(mark - 1)
    gateway.recorder.beat()
    gateway.collector.tell_sealed(mark)
    assert gateway.collector.sealed == mark - 1
    gateway.collector.tell_sealed(mark + 1)
    assert gateway.collector.sealed == mark + 1
