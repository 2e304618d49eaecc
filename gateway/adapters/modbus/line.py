"""One line: a connection that several devices share, and the order in which they are asked.

Requests go one at a time, jobs in turn: a device has at most one poll in the queue, so a slow device costs its
neighbours its own timeout and nothing more, and while it is silent it waits out a backoff (`station.py`). Nothing
here awaits in the polling path: answers, violations and timeouts are callbacks.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.adapters.modbus.config import LineSettings
from gateway.adapters.modbus.link import Link, open_link
from gateway.adapters.modbus.pdu import Refused, Request, Silence, Violation, check
from muster.errors import ConfigError

_log = structlog.get_logger()
_FIRST_BACKOFF_S = 0.5
_SILENCES = 3
"""After this many timeouts in a row, over all devices of a line, the connection is taken for half-open."""


_VIOLATIONS = 3
"""After this many in a row with nothing right between them, a line that is out of step is made anew. One liar among
several units does not cost its neighbours their session: replies are numbered, so theirs are found again."""


class Job(Protocol):
    """Something to ask on a line, in one or several requests."""

    timeout_s: float

    def next(self) -> Request | None:
        """Return the next request; None when the job is done."""
        ...

    def answer(self, values: bytes | memoryview) -> None:
        """Take the answer to the last request; a view is valid during the call only."""
        ...

    def refuse(self, refused: Refused) -> None:
        """Take the device's refusal of the last request; the job may go on."""
        ...

    def fail(self, error: Violation | Silence) -> None:
        """End: no answer, or none that can be used."""
        ...


class Line:
    """The connection to one host and port, or one serial port. `up`, `down`: told when a session begins or ends."""

    def __init__(
        self,
        settings: LineSettings,
        up: Callable[[], None],
        down: Callable[[str, dict[str, int | str]], None],
    ) -> None:
        self.settings = settings
        self.connect_timeout_s = 3.0
        self.backoff_max_s = 15.0
        self.reason = "modbus.not-connected"
        self.tried = False
        self._up = up
        self._down = down
        self._link: Link | None = None
        self._queue: deque[Job] = deque()
        self._job: Job | None = None
        self._request: Request | None = None
        self._deadline = 0.0
        self._silences = 0
        self._violations = 0
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def connected(self) -> bool:
        """Whether a session is open."""
        return self._link is not None

    async def run(self) -> None:
        """Keep a session open until cancelled."""
        backoff_s = _FIRST_BACKOFF_S
        try:
            while True:
                self._ended.clear()
                try:
                    self._link = await open_link(self.settings, self, self.connect_timeout_s)
                    self.tried = True
                except (Silence, ConfigError) as error:
                    if isinstance(error, Silence):
                        reason, detail = error.reason, error.detail
                    else:
                        reason, detail = "modbus.tls-files", {"problem": str(error)}
                    self.tried = True
                    if reason != self.reason:
                        self._down(reason, detail)
                    self.reason = reason
                    self._fail_all(Silence(reason, detail))
                    await asyncio.sleep(backoff_s * random.uniform(0.5, 1.5))
                    backoff_s = min(2 * backoff_s, self.backoff_max_s)
                    continue
                self._silences = self._violations = 0
                self._up()
                self._go_on()
                began = self._loop.time()
                await self._ended.wait()
                if self._loop.time() - began > self.backoff_max_s:
                    backoff_s = _FIRST_BACKOFF_S
                await asyncio.sleep(min(backoff_s, 1.0) * random.uniform(0.2, 0.6))
                backoff_s = min(2 * backoff_s, self.backoff_max_s)
        finally:
            self._disconnect("modbus.not-connected")

    def put(self, job: Job, *, first: bool = False) -> None:
        """Queue a job; `first`: before the polls, for what somebody waits for."""
        if first:
            self._queue.appendleft(job)
        else:
            self._queue.append(job)
        if self._job is None:
            self._go_on()

    def tick(self, now: float) -> None:
        """Look at the clock (the loop's, in seconds): has the request that waits waited too long?"""
        if self._request is not None and now >= self._deadline:
            self._time_out()

    # What the link tells.

    def answered(self, answer: memoryview) -> None:
        job = self._job
        if job is not None:
            self._silences = self._violations = 0
            self._request = None
            job.answer(answer)
            self._go_on()

    def received(self, pdu: bytes) -> None:
        job, request = self._job, self._request
        if job is None or request is None:
            return
        self._silences = 0
        self._request = None
        try:
            job.answer(check(request, pdu))
        except Refused as refused:
            job.refuse(refused)
        except Violation as violation:
            self.violated(violation)
            return
        self._violations = 0
        self._go_on()

    def violated(self, violation: Violation) -> None:
        job, self._job, self._request = self._job, None, None
        if job is not None:
            job.fail(violation)
        self._violations += 1
        unnumbered = self.settings.transport == "rtu_over_tcp"
        if unnumbered or (violation.out_of_step and self._violations >= _VIOLATIONS):
            self._disconnect(violation.reason)
        else:
            self._go_on()

    def lost(self, reason: str) -> None:
        self._disconnect(reason)

    def _go_on(self) -> None:
        """Send the next request, if the line is free and there is one."""
        while self._request is None and self._link is not None:
            if self._job is None:
                if not self._queue:
                    return
                self._job = self._queue.popleft()
            request = self._job.next()
            if request is None:
                self._job = None
                continue
            self._request = request
            self._deadline = self._loop.time() + self._job.timeout_s
            self._link.send(request)

    def _time_out(self) -> None:
        job, self._job, self._request = self._job, None, None
        self._silences += 1
        if self._link is not None:
            self._link.forget()
        if job is not None:
            job.fail(Silence("modbus.timeout", {"after_ms": round(1000 * job.timeout_s)}))
        if self.settings.transport == "rtu_over_tcp" or self._silences >= _SILENCES:
            self._disconnect("modbus.timeout")
        else:
            self._go_on()

    def _disconnect(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        self.reason = reason
        link.close()
        self._fail_all(Silence(reason))
        self._down(reason, {})
        self._ended.set()

    def _fail_all(self, error: Silence) -> None:
        waiting = [self._job] if self._job is not None else []
        waiting += self._queue
        self._job, self._request = None, None
        self._queue.clear()
        for job in waiting:
            job.fail(error)


class Exchange:
    """One request that somebody awaits."""

    def __init__(self, request: Request, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._request: Request | None = request

    def next(self) -> Request | None:
        request, self._request = self._request, None
        return None if self.done.done() else request

    def answer(self, values: bytes | memoryview) -> None:
        if not self.done.done():
            self.done.set_result(bytes(values))

    def refuse(self, refused: Refused) -> None:
        self.fail(refused)

    def fail(self, error: Violation | Silence | Refused) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def ask(line: Line, request: Request, timeout_s: float) -> bytes:
    """Ask now, before the polls that wait.

    Raises:
        Silence: no answer; Refused: the device will not; Violation: what came is no answer.
    """
    if not line.connected:
        raise Silence(line.reason)
    exchange = Exchange(request, timeout_s)
    line.put(exchange, first=True)
    return await exchange.done
