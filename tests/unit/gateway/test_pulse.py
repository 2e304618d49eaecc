"""When the recorder beats: what is put is cut within an interval, and an idle process is left asleep.

In time that passes only while everything waits, so that it is exact however busy the machine is.
"""

import asyncio
import functools
import math
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gateway.pulse import IDLE_S, LATE_S, Pulse

INTERVAL_S = 0.05


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time moves to the next timer at once when nothing is to be done before."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        real = selector.select

        def select(timeout: float | None = None) -> Any:
            found = real(0)
            self._now += 0.0 if found else timeout or 0.0
            return found

        selector.select = select

    def time(self) -> float:
        return self._now


def in_its_own_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run the test in a loop whose time is not the machine's."""

    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(test())

    return run


class Beats:
    """A pulse, and when it beat, in seconds of the loop."""

    def __init__(self, wait_s: float = 10.0) -> None:
        self.wait_s = wait_s
        self.at: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.pulse = Pulse(self._beat, INTERVAL_S)
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(self.pulse.run(self.stop))

    def _beat(self) -> float:
        self.at.append(self.loop.time())
        return self.wait_s

    async def within(self, span_s: float) -> list[float]:
        """Return the beats of so many seconds from now on."""
        before = len(self.at)
        await asyncio.sleep(span_s)
        return self.at[before:]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.running, 0.2)


@in_its_own_time
async def test_an_idle_recorder_beats_no_more_often_than_the_clocks_must_be_read() -> None:
    beats = Beats()
    await asyncio.sleep(0.01)
    assert len(await beats.within(2.5 * IDLE_S)) == 2
    await beats.end()


@in_its_own_time
async def test_what_is_put_is_cut_within_one_interval_however_often_something_is_put() -> None:
    beats = Beats()
    await asyncio.sleep(0.12)
    put_at = beats.loop.time()
    for _ in range(100):
        beats.pulse.stir()
    (cut_at,) = await beats.within(0.2)
    assert cut_at - put_at <= INTERVAL_S + 0.001
    await beats.end()


@in_its_own_time
async def test_a_beat_that_is_wanted_soon_comes_soon() -> None:
    beats = Beats(wait_s=0.1)
    assert 3 <= len(await beats.within(0.45)) <= 5
    await beats.end()


@in_its_own_time
async def test_a_lull_is_used_at_once_and_the_beat_that_was_due_is_not_made_as_well() -> None:
    beats = Beats()
    await asyncio.sleep(0.12)
    beats.pulse.stir()
    beats.pulse.lull()
    beats.pulse.lull()
    said_at = beats.loop.time()
    (cut_at,) = await beats.within(3 * INTERVAL_S)
    assert cut_at - said_at < 0.001
    await beats.end()


@in_its_own_time
async def test_lulls_one_after_the_other_do_not_make_a_beat_each() -> None:
    beats = Beats()
    await asyncio.sleep(0.12)
    for _ in range(50):
        beats.pulse.stir()
        beats.pulse.lull()
        await asyncio.sleep(0.002)
    took_s = beats.loop.time() - beats.at[0]
    assert len(beats.at) <= 2 + math.ceil(took_s / (INTERVAL_S / 2))
    await beats.end()


@in_its_own_time
async def test_what_is_put_after_the_end_makes_no_beat() -> None:
    beats = Beats()
    await asyncio.sleep(0.12)
    beats.pulse.stir()
    await beats.end()
    beats.pulse.stir()
    beats.pulse.lull()
    assert await beats.within(3 * INTERVAL_S) == []


@in_its_own_time
async def test_what_a_beat_raises_ends_the_recorder() -> None:
    def fail() -> float:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        await Pulse(fail, INTERVAL_S).run(asyncio.Event())


def test_what_came_while_the_process_stood_still_is_read_before_the_late_beat() -> None:
    done: list[str] = []
    (halt, halting), (news, sending) = socket.socketpair(), socket.socketpair()

    def beat() -> float:
        done.append("beat")
        return 10.0

    def stand_still() -> None:
        halt.recv(1)
        time.sleep(INTERVAL_S + 2 * LATE_S)
        sending.send(b".")

    def read() -> None:
        news.recv(1)
        done.append("read")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        pulse = Pulse(beat, INTERVAL_S)
        running = asyncio.create_task(pulse.run(stop))
        await asyncio.sleep(2 * INTERVAL_S)
        done.clear()
        loop.add_reader(halt, stand_still)
        loop.add_reader(news, read)
        pulse.stir()
        halting.send(b".")
        while len(done) < 2:
            await asyncio.sleep(INTERVAL_S)
        loop.remove_reader(halt)
        loop.remove_reader(news)
        stop.set()
        await running

    with halt, halting, news, sending, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    assert done == ["read", "beat"]
