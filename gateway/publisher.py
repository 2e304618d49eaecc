"""The publisher: gives the outbox's batches to the stream, in order, one in flight per partition.

A batch leaves the outbox only when JetStream has acknowledged it. Whatever stands in the way (no server, no
stream, a full stream, a lost acknowledgement) is answered in one way: keep the batch and try again. A batch
that arrives twice is known by its name, first by the stream, then by ingest.
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import Header, StatusCode
from prometheus_client import Histogram

from bus import subjects
from bus.envelope import SIGNATURE_HEADER
from bus.subjects import PARTITIONS
from gateway.outbox.records import Sealed
from gateway.outbox.store import Outbox
from muster.errors import Backpressure, MusterError, Unavailable

_log = structlog.get_logger()

ACKNOWLEDGE_TIMEOUT_S = 5.0
_LOOK_S = 0.25
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class _Refusal(msgspec.Struct):
    """Why JetStream did not take a message."""

    description: str = ""


class _Answer(msgspec.Struct):
    """What JetStream says of a message that was published."""

    error: _Refusal | None = None
    duplicate: bool = False


_decode_answer = msgspec.json.Decoder(_Answer).decode


@dataclass(slots=True)
class _Lane:
    """One partition's way to the bus; times in seconds of the monotonic clock.

    batch: the one under way, or that waits to be tried again. attempt: the number under which its acknowledgement is
    waited for, 0 while none is; `sent`, `reconnects`: when, and over which connection. due: when it is looked at
    again although nothing is heard.
    """

    partition: int
    batch: Sealed | None = None
    began: float = 0.0
    attempt: int = 0
    sent: float = 0.0
    reconnects: int = 0
    answer: Msg | None = None
    due: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    reading: "asyncio.Future[Sealed | None] | None" = None

    def next_look(self, now: float) -> float | None:
        """Return when it must be looked at although nothing is heard; None: never."""
        waits = self.attempt or self.batch is not None or self.due > now
        return self.due if waits else None

    def put_off(self, now: float, pause_s: float) -> None:
        """Try again after a pause, and after a longer one the next time."""
        self.due = now + pause_s
        self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)


class Publisher:
    """Empties one gateway's outbox onto the bus."""

    def __init__(self, outbox: Outbox, gateway: int) -> None:
        self.published = 0
        self.duplicates = 0
        self.retries = 0
        self.problem: str | None = None
        self.latency = Histogram(
            "muster_gateway_publish_seconds",
            "From the first attempt to publish a batch to the stream's acknowledgement",
            registry=None,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
        )
        self._outbox = outbox
        self._gateway = gateway
        self._attempts = 0
        self._waiting: dict[int, _Lane] = {}
        self._news = asyncio.Event()
        self._advanced = asyncio.Event()

    def wake(self) -> None:
        """Look into the outbox again: something was sealed."""
        self._news.set()

    async def run(self, client: Client) -> None:
        """Publish until cancelled."""
        self._waiting.clear()
        inbox = client.new_inbox()
        while True:
            try:
                await client.subscribe(f"{inbox}.*", cb=self._hear)
                break
            except NatsError as error:
                self._say_problem(str(error))
                await asyncio.sleep(_LOOK_S)
        await self._send_all(client, inbox)

    async def drain(self, limit_s: float) -> bool:
        """Wait until the bus has everything, at most `limit_s`; tell whether it has."""
        try:
            async with asyncio.timeout(limit_s):
                while not self._outbox.drained:
                    self._advanced.clear()
                    await self._advanced.wait()
        except TimeoutError:
            return self._outbox.drained
        return True

    async def _send_all(self, client: Client, inbox: str) -> None:
        """Keep every partition's next batch under way."""
        lanes = [_Lane(partition) for partition in range(PARTITIONS)]
        while True:
            self._news.clear()
            now = time.monotonic()
            for lane in lanes:
                await self._step(client, inbox, lane, now)
            looks = [look for lane in lanes if (look := lane.next_look(now)) is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(looks) - now) if looks else None):
                    await self._news.wait()

    async def _step(self, client: Client, inbox: str, lane: _Lane, now: float) -> None:
        """Do for one partition what can be done now."""
        try:
            if lane.attempt and not self._acknowledged(client, lane, now):
                return
            if now < lane.due:
                return
            if lane.batch is None:
                lane.batch = self._next(lane)
                if lane.batch is None:
                    return
                lane.began = now
            await self._attempt(client, inbox, lane, lane.batch, now)
        except MusterError as error:
            self._say_problem(str(error))
            self.retries += 1
            # A server that is away is looked for often; one that refuses is given time.
            pause_s = _LOOK_S if isinstance(error, Unavailable) else lane.pause_s
            lane.put_off(now, pause_s * _jitter())
        except OSError as error:
            _log.error("outbox-unreadable", partition=lane.partition, error=str(error))
            lane.put_off(now, lane.pause_s)

    def _next(self, lane: _Lane) -> Sealed | None:
        """Return the partition's next batch, or None while there is none. Raises OSError.

        What was just sealed is still in memory; what is only on the disk is read by another thread.
        """
        reading, lane.reading = lane.reading, None
        if reading is None:
            if self._outbox.sent(lane.partition):
                return None
            batch = self._outbox.fresh(lane.partition)
            if batch is not None:
                return batch
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(None, self._outbox.read, lane.partition)
            reading.add_done_callback(lambda _: self._news.set())
        if not reading.done():
            lane.reading = reading
            return None
        return reading.result()

    async def _attempt(self, client: Client, inbox: str, lane: _Lane, batch: Sealed, now: float) -> None:
        """Publish once. Raises Unavailable while the server is away, Backpressure when it takes no message."""
        if not client.is_connected:
            raise Unavailable("the bus is away")
        self._attempts += 1
        lane.attempt, lane.sent, lane.due = self._attempts, now, now + _LOOK_S
        lane.reconnects = client.stats["reconnects"]
        self._waiting[lane.attempt] = lane
        try:
            await client.publish(
                subjects.batch(batch.partition, self._gateway),
                batch.body,
                reply=f"{inbox}.{lane.attempt}",
                headers={
                    SIGNATURE_HEADER: batch.signature,
                    Header.MSG_ID: f"{self._gateway}.{batch.partition}.{batch.epoch}.{batch.sequence}",
                    Header.EXPECTED_STREAM: subjects.STREAM,
                },
            )
        except (NatsError, OSError, ValueError) as error:
            self._give_up(lane)
            raise Backpressure(f"no acknowledgement: {error or type(error).__name__}") from error

    async def _hear(self, message: Msg) -> None:
        """Take the answer to the attempt that its subject ends with; one that was given up is late."""
        lane = self._waiting.pop(int(message.subject.rsplit(".", 1)[1]), None)
        if lane is not None:
            lane.answer = message
            self._news.set()

    def _acknowledged(self, client: Client, lane: _Lane, now: float) -> bool:
        """Tell whether the batch that is under way arrived; then the outbox has let it go.

        Raises:
            Unavailable: the server went away before it answered.
            Backpressure: the stream refused, or there was no answer in time.
        """
        if lane.answer is None:
            if now >= lane.due:
                self._look(client, lane, now)
            return False
        message, lane.answer, lane.attempt = lane.answer, None, 0
        if message.headers and message.headers.get(Header.STATUS) == StatusCode.SERVICE_UNAVAILABLE:
            raise Backpressure("the bus has no stream for batches")
        try:
            answer = _decode_answer(message.data)
        except msgspec.MsgspecError as error:
            raise Backpressure(f"no acknowledgement: {error}") from error
        if answer.error is not None:
            raise Backpressure(f"the stream refuses: {answer.error.description}")
        self._outbox.acknowledge(lane.partition)
        self.latency.observe(now - lane.began)
        lane.batch, lane.due, lane.pause_s = None, 0.0, _FIRST_PAUSE_S
        self.published += 1
        self.duplicates += answer.duplicate
        self._say_problem(None)
        self._advanced.set()
        return True

    def _look(self, client: Client, lane: _Lane, now: float) -> None:
        """See whether an answer may still come. Raises Unavailable or Backpressure when it may not."""
        lane.due = now + _LOOK_S
        if not client.is_connected or client.stats["reconnects"] != lane.reconnects:
            self._give_up(lane)
            raise Unavailable("the bus went away before it acknowledged")
        if now - lane.sent >= ACKNOWLEDGE_TIMEOUT_S:
            self._give_up(lane)
            raise Backpressure(f"no acknowledgement within {ACKNOWLEDGE_TIMEOUT_S:g} s")

    def _give_up(self, lane: _Lane) -> None:
        """Wait for the answer to this attempt no longer."""
        self._waiting.pop(lane.attempt, None)
        lane.attempt, lane.answer = 0, None

    def _say_problem(self, problem: str | None) -> None:
        if problem != self.problem:
            if problem is None:
                _log.info("publishing-again")
            else:
                _log.warning("publishing-waits", reason=problem)
            self.problem = problem


def _jitter() -> float:
    return random.uniform(0.5, 1.5)
