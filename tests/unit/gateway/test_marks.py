"""What the recorder says is durable: a source is acknowledged no sooner."""

from tests.unit.gateway.recording import Make, received


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
    written: list[tuple[int | None, bool]] = []
    collector = gateway.collector

    def write() -> None:
        mark = collector.mark()
        written.append((mark, any(slot.number == mark for slot in gateway.recorder._pending)))

    end = collector.watch_cut(write)
    for cut in (gateway.recorder.beat, gateway.recorder.beat, gateway.recorder.end):
        gateway.poll()
        mark = collector.mark()
        cut()
        assert written.pop() == (mark, False)
        assert gateway.recorder._pending[-1].number == mark
        gateway.clock.jump(3600)  # the next beat parts its slot
    assert written == []
    end()


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
