"""One line: a connection that several devices share, and the order in which they are asked.

Requests go one at a time, jobs in turn: a job that has more to ask goes behind those that wait, so a slow device costs
its neighbours the time of one request and nothing more, and while it is silent it rests (`station.py`). Nothing here
awaits in the polling path: answers, violations and timeouts are callbacks, and no request has a timer of its own; the
room looks at the lines that are `busy` in each of its slots.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.adapters.modbus.config import LineSettings
from gateway.adapters.modbus.link import Link
from gateway.adapters.modbus.opening import open_link
from gateway.adapters.modbus.pdu import Refused, Request, Silence, Violation, check
from gateway.adapters.modbus.rest import Rest
from muster.errors import ConfigError

_FIRST_REST_S = 0.5
_BREATH_S = 0.05
"""Before a session that worked is opened again, at most this long is waited."""
_SILENCES_ALONE, _SILENCES = 2, 3
"""After this many timeouts in a row the connection is taken for half-open: of one device, or over all of a line."""
_VIOLATIONS = 3
"""After this many in a row with nothing right between them, a line that is out of step is made anew. One liar among
several units does not cost its neighbours their session: replies are numbered, so theirs are found again."""


class Job(Protocol):
    """Something to ask on a line, in one or several requests.

    request: the one to send now. repeatable: whether it may be sent again when the connection ended under it.
    """

    request: Request
    timeout_s: float
    repeatable: bool

    def answer(self, values: bytes | memoryview) -> bool:
        """Take the answer, valid during the call only; return whether there is another request."""
        ...

    def refuse(self, refused: Refused) -> bool:
        """Take the device's refusal; return whether there is another request."""
        ...

    def fail(self, error: Violation | Silence) -> None:
        """End: no answer, or none that can be used."""
        ...


class Line:
    """The connection to one host and port, or one serial port.

    up, down: told when a session begins or ends. busy: where the line stands while a request waits for its answer.
    lull: told with an answer after which no line waits for another. now: the loop's time, in seconds. open: whether
    jobs are taken, for a session stands, or is being opened with hope. alone: whether one device only is on the line.
    sent_at: when the request that waits, or was last answered, was sent. writing: held while a write's requests
    belong together.
    """

    __slots__ = (
        "_busy",
        "_down",
        "_ended",
        "_job",
        "_link",
        "_lull",
        "_queue",
        "_rest",
        "_silences",
        "_up",
        "_violations",
        "_worked",
        "alone",
        "backoff_max_s",
        "connect_timeout_s",
        "now",
        "open",
        "reason",
        "sent_at",
        "settings",
        "writing",
    )

    def __init__(
        self,
        settings: LineSettings,
        up: Callable[[], None],
        down: Callable[[str, dict[str, int | str]], None],
        busy: "set[Line]",
        lull: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.connect_timeout_s = 3.0
        self.backoff_max_s = 15.0
        self.alone = True
        self.open = True
        self.reason = "modbus.not-connected"
        self.sent_at = 0.0
        self.writing = asyncio.Lock()
        self._up = up
        self._down = down
        self._busy = busy
        self._lull = lull
        self._link: Link | None = None
        self._queue: deque[Job] = deque()
        self._job: Job | None = None
        self._silences = 0
        self._violations = 0
        self._worked = False
        self._rest = Rest(_FIRST_REST_S)
        self._ended = asyncio.Event()
        self.now = now

    @property
    def connected(self) -> bool:
        """Whether a session is open."""
        return self._link is not None

    @property
    def numbered(self) -> bool:
        """Whether replies carry the number of their request, so that a late one is known."""
        return self.settings.transport in ("tcp", "tls")

    def serving(self, job: Job) -> bool:
        """Whether `job` is the one whose answer is waited for."""
        return self._job is job

    async def run(self) -> None:
        """Keep a session open until cancelled."""
        try:
            while True:
                self._ended.clear()
                try:
                    link = await open_link(self.settings, self, self.connect_timeout_s)
                except Silence as error:
                    await self._stay_closed(error.reason, error.detail)
                    continue
                except ConfigError as error:
                    await self._stay_closed("modbus.tls-files", {"problem": str(error)})
                    continue
                self._link, self.open = link, True
                self._silences, self._violations, self._worked = 0, 0, False
                self._up()
                if link.ended:
                    self.lost(link.ended)
                self._go_on()
                await self._ended.wait()
                if not self._worked:
                    await asyncio.sleep(self._rest.extend(self.now(), self.backoff_max_s))
                else:
                    self._rest.clear()
                    await asyncio.sleep(random.uniform(0, _BREATH_S))
        finally:
            self._disconnect("gateway-stopped", hopeful=False)

    async def _stay_closed(self, reason: str, detail: dict[str, int | str]) -> None:
        """Say why no session can be opened, and wait before the next attempt."""
        if reason != self.reason:
            self._down(reason, detail)
        self.reason = reason
        self._give_up(Silence(reason, detail))
        await asyncio.sleep(self._rest.extend(self.now(), self.backoff_max_s))

    def put(self, job: Job, now: float, *, first: bool = False) -> None:
        """Ask `job` in its turn; `first`: before the polls, for what somebody waits for. now: the loop's time in s."""
        link = self._link
        if self._job is None and link is not None:
            self._send(link, job, now)
        elif first:
            self._queue.appendleft(job)
        else:
            self._queue.append(job)

    def withdraw(self, job: Job) -> None:
        """Forget a job that nobody wants any more; an answer to it is late from now on."""
        if self._job is job:
            self._free()
            if self._link is not None:
                self._link.forget()
            self._go_on()
        elif job in self._queue:
            self._queue.remove(job)

    def tick(self, now: float) -> None:
        """Look at the clock (the loop's, in seconds): has the request that waits waited too long?"""
        if self._job is not None and now >= self.sent_at + self._job.timeout_s:
            self._time_out(self._job)

    # What the link tells.

    def answered(self, answer: memoryview) -> None:
        job = self._job
        if job is None:
            return
        self._job = None
        self._busy.discard(self)
        self._worked = True
        self._silences = self._violations = 0
        if job.answer(answer):
            self._queue.append(job)
        if self._queue:
            self._go_on()
        if not self._busy:
            self._lull()

    def received(self, pdu: bytes) -> None:
        job = self._job
        if job is None:
            return
        self._silences = 0
        try:
            values = check(job.request, pdu)
        except Violation as violation:
            self.violated(violation)
            return
        except Refused as refused:
            self._free()
            more = job.refuse(refused)
        else:
            self._free()
            more = job.answer(values)
        self._worked = True
        self._violations = 0
        if more:
            self._queue.append(job)
        self._go_on()

    def late(self) -> None:
        self._silences = 0

    def violated(self, violation: Violation) -> None:
        job = self._job
        self._free()
        self._violations += 1
        if job is not None:
            job.fail(violation)
        if (violation.out_of_step or not self.numbered) and not self._resynchronise():
            self._disconnect(violation.reason, hopeful=self._worked)
        else:
            self._go_on()

    def lost(self, reason: str) -> None:
        job = self._job
        self._free()
        if job is not None and job.repeatable and self._worked:
            # the peer may have ended a session that it thought idle; a session that never worked gives no hope
            self._queue.appendleft(job)
            job = None
        self._disconnect(reason, hopeful=self._worked)
        if job is not None:
            job.fail(Silence(reason))

    def _resynchronise(self) -> bool:
        """Go on with the same connection after bytes that are no frame; return whether that can be done."""
        if self._link is None or self._violations >= _VIOLATIONS:
            return False
        return self._link.resynchronise()

    def _go_on(self) -> None:
        """Send the next job's request, if the line is free."""
        link = self._link
        if self._job is None and link is not None and self._queue:
            self._send(link, self._queue.popleft(), self.now())

    def _send(self, link: Link, job: Job, now: float) -> None:
        self._job = job
        self._busy.add(self)
        pause_s = link.send(job.request)
        self.sent_at = now + pause_s if pause_s else now

    def _free(self) -> None:
        self._job = None
        self._busy.discard(self)

    def _time_out(self, job: Job) -> None:
        self._free()
        self._silences += 1
        begun = self._link.forget() if self._link is not None else 0
        reason = "modbus.short-reply" if begun else "modbus.timeout"
        job.fail(Silence(reason, {"after_ms": round(1000 * job.timeout_s)}))
        limit = _SILENCES_ALONE if self.alone else _SILENCES
        torn = self.settings.transport == "rtu_over_tcp" or (begun and self.numbered)
        if torn or self._silences >= limit:
            self._disconnect(reason, hopeful=self._worked)
        else:
            self._go_on()

    def _disconnect(self, reason: str, *, hopeful: bool) -> None:
        """End the session; with hope, what waits in the queue waits for the next one."""
        link, self._link = self._link, None
        if link is not None:
            self.reason = reason
            self.open = hopeful
            link.close()
            self._down(reason, {})
            self._ended.set()
        if not hopeful:
            self._give_up(Silence(reason))

    def _give_up(self, error: Silence) -> None:
        """Fail everything that waits."""
        self.open = False
        waiting = [self._job] if self._job is not None else []
        waiting += self._queue
        self._free()
        self._queue.clear()
        for job in waiting:
            job.fail(error)


class Exchange:
    """One request that somebody awaits; never repeated by itself."""

    repeatable = False

    def __init__(self, request: Request, timeout_s: float) -> None:
        self.request = request
        self.timeout_s = timeout_s
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answer(self, values: bytes | memoryview) -> bool:
        if not self.done.done():
            self.done.set_result(bytes(values))
        return False

    def refuse(self, refused: Refused) -> bool:
        self._raise(refused)
        return False

    def fail(self, error: Violation | Silence) -> None:
        self._raise(error)

    def _raise(self, error: Violation | Silence | Refused) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def ask(line: Line, request: Request, timeout_s: float) -> bytes:
    """Ask now, before the polls that wait.

    Raises:
        Silence: no answer; Refused: the device will not; Violation: what came is no answer.
    """
    if not line.open:
        raise Silence(line.reason)
    exchange = Exchange(request, timeout_s)
    line.put(exchange, line.now(), first=True)
    try:
        return await exchange.done
    finally:
        line.withdraw(exchange)
