"""A line's fairness and its judgement of what comes, and a device's polls on it: no socket, no real clock."""

import asyncio

import pytest

from gateway.adapters.modbus import line as lines
from gateway.adapters.modbus.line import ask
from gateway.adapters.modbus.pdu import Refused, Silence, Violation, read
from gateway.adapters.modbus.rest import Rest
from muster.quality import Quality
from tests.unit.modbus.bench import Bench, settle
from tests.unit.modbus.documents import tag

A = tag(1, "uint16", register=0)
FAR = tag(2, "uint16", register=500)


async def test_a_poll_of_several_blocks_lets_others_between_its_requests(bench: Bench) -> None:
    long, short = bench.station(A, FAR), bench.station(A, number=2, unit=2)
    bench.due(long)
    bench.due(short)
    for _ in range(3):
        bench.answer(b"\0\x07")
    assert [request.unit for request in bench.link.sent] == [1, 2, 1]
    assert sorted(number for number, *_ in bench.sink.scans) == [1, 2]
    assert not bench.busy


async def test_a_silent_device_costs_its_neighbour_one_timeout_and_rests(bench: Bench) -> None:
    bench.line.alone = False
    silent, other = bench.station(A), bench.station(A, number=2, unit=2)
    other._rest = Rest(1.0)
    bench.due(silent)
    bench.due(other)
    bench.pass_time(1.0)
    bench.answer(b"\0\x07")
    assert bench.sink.reasons("error") == ["modbus.timeout"]
    for _ in range(2):
        bench.due(silent)
        bench.due(other)
        bench.answer(b"\0\x07")
    assert [request.unit for request in bench.link.sent] == [1, 2, 2, 2]
    assert bench.sink.reasons("gap")[0] == "modbus.timeout"
    bench.clock.advance(1.01)
    bench.due(silent)
    bench.answer(b"\0\x07")
    gaps = [event for event in bench.sink.events if event.kind == "gap"]
    assert sum(gap.polls or 0 for gap in gaps) == 3
    assert gaps[-1].until == bench.clock.now_us()


async def test_a_device_alone_is_polled_again_at_once_after_one_timeout(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.pass_time(1.0)
    bench.due(one)
    assert len(bench.link.sent) == 2


async def test_two_timeouts_in_a_row_end_a_connection_that_one_device_has(bench: Bench) -> None:
    one = bench.station(A)
    for _ in range(2):
        bench.due(one)
        bench.pass_time(1.0)
    assert bench.links[0].closed
    assert bench.downs == ["modbus.timeout"]
    assert bench.line.reason == "modbus.timeout"


async def test_a_reply_that_breaks_off_ends_a_numbered_connection(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.link.begun = 5
    bench.pass_time(1.0)
    assert bench.links[0].closed
    assert bench.sink.reasons("error") == ["modbus.short-reply"]


async def test_a_peer_that_ends_an_idle_session_costs_no_poll(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.answer(b"\0\x07")
    bench.due(one)
    bench.line.lost("modbus.connection-closed")
    await settle()
    assert len(bench.links) == 2
    bench.answer(b"\0\x08")
    assert [value for _, value, _ in bench.sink.scans] == [[7], [8]]
    assert not bench.sink.reasons("gap")


async def test_a_session_that_never_worked_gives_no_hope_to_what_waits(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.line.lost("modbus.connection-closed")
    assert bench.sink.reasons("gap") == ["modbus.connection-closed"]
    assert not bench.line.open
    with pytest.raises(Silence):
        await ask(bench.line, read(1, "holding", 0, 1), 1.0)


async def test_a_write_is_never_sent_twice(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.answer(b"\0\x07")
    asked = asyncio.create_task(ask(bench.line, read(1, "holding", 0, 1), 1.0))
    await settle()
    bench.line.lost("modbus.connection-lost")
    with pytest.raises(Silence):
        await asked
    await settle()
    assert bench.link.sent == []


async def test_what_somebody_waits_for_goes_before_the_polls(bench: Bench) -> None:
    first, second = bench.station(A), bench.station(A, number=2, unit=2)
    bench.due(first)
    bench.due(second)
    asked = asyncio.create_task(ask(bench.line, read(9, "holding", 0, 1), 1.0))
    await settle()
    bench.answer(b"\0\x01")
    bench.answer(b"\0\x02")
    assert await asked == b"\0\x02"
    assert [request.unit for request in bench.link.sent] == [1, 9, 2]


async def test_a_caller_that_gives_up_frees_the_line(bench: Bench) -> None:
    asked = asyncio.create_task(ask(bench.line, read(9, "holding", 0, 1), 1.0))
    await settle()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    bench.due(bench.station(A))
    assert [request.unit for request in bench.link.sent] == [9, 1]


async def test_three_violations_out_of_step_in_a_row_end_the_connection(bench: Bench) -> None:
    bench.line.alone = False
    one = bench.station(A)
    for _ in range(3):
        bench.due(one)
        bench.line.violated(Violation("modbus.garbage", out_of_step=True))
        bench.clock.advance(20)
    assert bench.links[0].closed
    assert not bench.sink.scans


async def test_a_refused_block_is_split_until_only_the_wrong_address_is_refused(bench: Bench) -> None:
    tags = [tag(at + 1, "uint16", register=at) for at in range(4)]
    one = bench.station(*tags)
    for _ in range(4):
        bench.due(one)
        while bench.busy:
            asked = bench.link.sent[-1]
            start, count = int.from_bytes(asked.pdu[1:3], "big"), int.from_bytes(asked.pdu[3:5], "big")
            if start <= 2 < start + count:
                bench.line.received(b"\x83\x02")
            else:
                bench.answer(bytes(range(2 * count)))
    qualities = [quality for _, _, quality in bench.sink.scans]
    refused = Quality.REFUSED
    assert qualities == [4 * [refused], [0, 0, refused, refused], [0, 0, refused, 0], [0, 0, refused, 0]]
    assert bench.sink.reasons("error") == ["modbus.illegal-address"]
    assert not bench.sink.reasons("gap")


async def test_a_device_behind_a_gateway_that_cannot_reach_it_has_not_answered(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.line.received(b"\x83\x0b")
    assert not bench.sink.scans
    assert bench.sink.reasons("gap") == ["modbus.gateway-target-silent"]


async def test_blocks_that_were_answered_before_one_was_not_are_kept(bench: Bench) -> None:
    one = bench.station(A, FAR)
    bench.due(one)
    bench.answer(b"\0\x07")
    bench.pass_time(1.0)
    ((_, value, quality),) = bench.sink.scans
    assert value[0] == 7
    assert quality == [0, Quality.NOT_ANSWERED]
    assert bench.sink.reasons("error") == ["modbus.timeout"]
    assert not bench.sink.reasons("gap")


async def test_polls_that_came_due_during_a_slow_answer_are_its_gap(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.clock.advance(0.3)
    bench.due(one)
    bench.clock.advance(0.3)
    bench.answer(b"\0\x07")
    gaps = [event for event in bench.sink.events if event.kind == "gap"]
    assert (gaps[0].reason, gaps[0].polls) == ("modbus.slow", 1)
    assert len(bench.sink.scans) == 1


async def test_a_held_up_loop_lists_the_polls_that_came_too_late(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one, missed=3)
    assert [(e.reason, e.polls) for e in bench.sink.events if e.kind == "gap"] == [("gateway-late", 3)]
    assert len(bench.link.sent) == 1


async def test_a_device_that_is_no_longer_polled_lists_its_poll_under_way(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.clock.advance(0.1)
    one.stop("gateway-stopped")
    assert [(e.reason, e.polls) for e in bench.sink.events if e.kind == "gap"] == [("gateway-stopped", 1)]
    bench.answer(b"\0\x07")
    assert not bench.sink.scans


async def test_a_retry_beside_the_schedule_counts_as_no_missed_poll(bench: Bench) -> None:
    one = bench.station(A)
    bench.due(one)
    bench.pass_time(1.0)
    assert bench.again == [1]
    bench.due(one, missed=-1)
    bench.answer(b"\0\x07")
    gaps = [event for event in bench.sink.events if event.kind == "gap"]
    assert sum(gap.polls or 0 for gap in gaps) == 1


async def test_an_error_is_said_when_it_begins_and_not_for_each_poll(bench: Bench) -> None:
    bench.line.alone = False
    one = bench.station(A)
    for answer in (b"\x83\x04", b"\x83\x04", b"\x03\x02\0\x07", b"\x83\x04"):
        bench.due(one)
        bench.line.received(answer)
        bench.clock.advance(1)
    assert bench.sink.reasons("error") == ["modbus.device-failure"] * 2
    assert one.report().errors == {"modbus.device-failure": 3}
    assert [quality for *_, quality in bench.sink.scans] == [[203], [203], None, [203]]


async def test_diagnostics_tell_polls_answers_and_latency(bench: Bench) -> None:
    one = bench.station(A)
    for latency in (0.010, 0.020, 0.900):
        bench.due(one)
        bench.clock.advance(latency)
        bench.answer(b"\0\x07")
    report = one.report()
    assert (report.session, report.polls, report.answers) == ("up", 3, 3)
    assert report.latency_ms_p50 == pytest.approx(20)
    assert report.latency_ms_p99 == pytest.approx(900)
    assert report.last_good == bench.clock.now_us()


async def test_an_exchange_tells_a_refusal_from_silence(bench: Bench) -> None:
    asked = asyncio.create_task(ask(bench.line, read(1, "holding", 0, 1), 1.0))
    await settle()
    bench.line.received(b"\x83\x01")
    with pytest.raises(Refused):
        await asked


async def test_why_no_session_opens_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_FIRST_REST_S", 0.0)
    bench = Bench(monkeypatch)
    bench.refuse_with = Silence("modbus.connection-refused")
    bench.line.backoff_max_s = 0.0
    one = bench.station(A)
    bench.due(one)
    for _ in range(20):
        await settle()
    bench.due(one)
    bench.task.cancel()
    await asyncio.gather(bench.task, return_exceptions=True)
    assert bench.downs == ["modbus.connection-refused"]
    assert bench.sink.reasons("gap") == ["modbus.connection-refused"]
