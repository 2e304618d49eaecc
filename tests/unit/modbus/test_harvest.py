"""Answers that come in one turn of the loop: put together, in their order, each judged alone."""

import asyncio

import pytest

from gateway.adapters.modbus.harvest import Harvest
from gateway.adapters.modbus.post import Post
from muster.quality import Quality
from tests.unit.modbus.bench import Bench, settle
from tests.unit.modbus.documents import blocks_of, device, tag, understood

A = tag(1, "uint16", register=0)
R = tag(1, "float32", register=0)
ONE, NOTHING = bytes.fromhex("3f800000"), bytes.fromhex("7fc00000")


@pytest.mark.parametrize("count", [1, 3, 4, 9])
async def test_answers_that_come_in_one_turn_are_put_in_their_order_each_judged_alone(
    bench: Bench, count: int
) -> None:
    stations = [bench.station(R, number=number) for number in range(1, count + 1)]
    for station in stations:
        bench.due(station)
    for station in stations:
        bench.answer(NOTHING if station.number == 2 else ONE)
    assert sorted(number for number, *_ in bench.sink.scans) == [*range(1, count + 1)]
    qualities = {number: quality for number, _, quality in bench.sink.scans}
    assert [number for number, quality in qualities.items() if quality] == [2][: count - 1]
    assert qualities.get(2) in (None, [Quality.NO_VALUE])
    assert all(value == [1.0] for number, value, _ in bench.sink.scans if number != 2)
    assert all(station.report().last_good == bench.clock.now_us() for station in stations)
    assert bench.sink.lulls == 1


async def test_answers_of_other_layouts_are_put_with_them(bench: Bench) -> None:
    wanted = [R, A, tag(1, "int16", register=0)]
    stations = [bench.station(wanted[number % 3], number=number) for number in range(15)]
    for station in stations:
        bench.due(station)
    for station in stations:
        bench.answer(ONE if station.number % 3 == 0 else b"\xff\xff")
    values = {number: value for number, value, _ in bench.sink.scans}
    assert values == {number: [[1.0], [65535.0], [-1.0]][number % 3] for number in range(15)}


async def test_an_answer_is_put_before_the_sockets_are_read_again_though_a_line_waits(bench: Bench) -> None:
    answered, waiting = bench.station(A), bench.station(A, number=2)
    bench.due(answered)
    bench.due(waiting)
    bench.answer(b"\0\x07")
    assert bench.busy
    assert not bench.sink.scans
    await asyncio.sleep(0)
    assert [number for number, *_ in bench.sink.scans] == [1]


async def test_what_came_before_a_session_ended_is_said_before_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(bench.sink, "keep", lambda seen: said.append("scan"))
    monkeypatch.setattr(bench.sink, "event", lambda event: said.append(event.kind))
    async with asyncio.TaskGroup() as group:
        document = device(A)
        one = understood(A)
        post = Post(one.connection.line, set(), bench.sink, bench.harvest, bench.decoders, group)
        station = post.add(document, one, bench.clock, bench.again.append)
        await settle()
        for busy in (station, bench.station(A, number=2)):
            busy.due(bench.clock.monotonic(), bench.clock.now_us(), 0)
        post.line.answered(memoryview(b"\0\x07"))
        post.line.lost("modbus.connection-closed")
        await post.end()
    assert said[:3] == ["session_up", "scan", "session_down"]


async def test_a_mistake_in_a_harvest_is_told_and_not_swallowed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    harvest = Harvest(bench.sink, bench.clock, told.append)
    station = bench.station(A)
    monkeypatch.setattr(bench.sink, "scan", lambda *scan: 1 / 0)
    harvest.add(station, bench.decoders.of(blocks_of(A)), b"\0\x07")
    await asyncio.sleep(0)
    assert [type(error) for error in told] == [ZeroDivisionError]
