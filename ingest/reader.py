"""Reads one partition of the stream in order, from a given place, without acknowledging.

An ephemeral pull consumer with one pull outstanding; what arrives while a transaction runs waits here,
bounded by the size of a pull. The consumer's own count must rise by one with each message: a break, a lost
consumer, a reconnect or silence longer than the heartbeat makes the reader fail, and its owner begins anew. How
long a group waits for others follows from how long those before it took to store.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from bus import envelope, subjects
from ingest.intake import Message
from muster.clock import Clock
from muster.errors import Unavailable

log = structlog.get_logger()

PULL_MESSAGES = 256
PULL_BYTES = 4 * 2**20
"""How much may wait here before no more is asked for. A pull itself must let the largest message through, which the
embedded bus bounds at 8 MB; what all partitions of a worker ask for then stays at half of the 64 MiB that a NATS server
keeps for a connection. Beyond that the server closes it, and all readers begin anew."""
OVERHEAD_BYTES = 64 * 2**10
"""Of a message besides its body: subject and headers."""
GROUP_BYTES = 4 * 2**20
GROUP_WAIT_S = 0.05
GROUP_WAIT_MOST_S = 0.5
WAIT_FOR_WORK = 8
"""A group waits so many times as long for others as the one before took to store: while transactions are short, waiting
would only delay; where they take much of the time, a larger one is cheaper than several."""
EXPIRES_S = 30
HEARTBEAT_S = 2
SILENCE_S = 3 * HEARTBEAT_S
INACTIVE_S = 30


def group_wait_s(before_s: float, last_s: float) -> float:
    """Return how long a group waits, from its first message on, when the two before took so long to store.

    The shorter of both counts: one transaction that a checkpoint held up delays nothing.
    """
    return min(max(GROUP_WAIT_S, WAIT_FOR_WORK * min(before_s, last_s)), GROUP_WAIT_MOST_S)


class Reader:
    """The messages of one partition after `sequence`, in order. An asynchronous context manager.

    pending: how many messages wait in the stream behind the last one that arrived.
    """

    def __init__(self, client: Client, partition: int, sequence: int, clock: Clock) -> None:
        self.pending = 0
        self._client = client
        self._partition = partition
        self._from = sequence + 1
        self._clock = clock
        self._consumer = f"ingest-{partition}-{secrets.token_hex(6)}"
        self._arrived: deque[tuple[float, Message]] = deque()
        self._bytes = 0
        self._wanted = 0
        self._count = 0
        self._failed = ""
        self._over = False
        self._heard_at = 0.0
        self._doubted_at = -1.0
        self._given_at = -1.0
        self._took_s = (0.0, 0.0)
        self._reconnects = 0
        self._ready = asyncio.Event()
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        """Make the consumer and ask for its first messages.

        Raises:
            Unavailable: the server or the stream is not there now.
        """
        config = ConsumerConfig(
            name=self._consumer,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._from,
            ack_policy=AckPolicy.NONE,
            filter_subject=subjects.batches_of(self._partition),
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            self._reconnects = self._client.stats["reconnects"]
            await self._client.jetstream().add_consumer(subjects.STREAM, config)
            inbox = self._client.new_inbox()
            self._subscription = await self._client.subscribe(inbox, cb=self._receive, pending_bytes_limit=-1)
            self._heard_at = self._clock.monotonic()
            await self._pull()
        except (NatsError, TimeoutError) as error:
            raise Unavailable(f"consumer: {error or type(error).__name__}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed = "closed"
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            if self._client.is_connected:
                await self._client.jetstream().delete_consumer(subjects.STREAM, self._consumer)
        except (NatsError, TimeoutError, NotFoundError) as problem:
            log.debug("consumer-left-behind", error=str(problem))

    def end(self) -> None:
        """Let whoever waits for a group wait no longer."""
        self._over = True
        self._ready.set()

    async def group(self, wait_s: float = 1.0, most: int = PULL_MESSAGES) -> list[Message]:
        """Return the next messages for one transaction, at most `most`; none when none came within `wait_s`.

        Waits a while after the first for others to share its transaction: what is called next after a group was given
        tells how long that took to store.

        Raises:
            Unavailable: this reader has failed; begin a new one after the last message given.
        """
        if self._given_at >= 0:
            self._took_s = (self._took_s[1], self._clock.monotonic() - self._given_at)
            self._given_at = -1.0
        await self._until(wait_s, lambda: bool(self._arrived))
        if not self._arrived:
            self._check()
            return []
        left_s = group_wait_s(*self._took_s) - (self._clock.monotonic() - self._arrived[0][0])
        if left_s > 0:
            await self._until(left_s, lambda: self._bytes >= GROUP_BYTES or len(self._arrived) >= most)
        group: list[Message] = []
        size = 0
        while self._arrived and len(group) < most and (not group or size < GROUP_BYTES):
            message = self._arrived.popleft()[1]
            size += len(message.body)
            group.append(message)
        self._bytes -= size
        await self._pull()
        self._given_at = self._clock.monotonic()
        return group

    async def _until(self, wait_s: float, is_enough: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not (is_enough() or self._failed or self._over):
                    self._ready.clear()
                    await self._ready.wait()
        except TimeoutError:
            return

    def _check(self) -> None:
        if not self._failed and self._client.stats["reconnects"] != self._reconnects:
            self._failed = "the connection was made anew"
        now = self._clock.monotonic()
        if not self._failed and now - self._heard_at > SILENCE_S:
            if self._doubted_at < self._heard_at:
                self._doubted_at = now  # what was said while this process was busy may only wait to be read
            elif now - self._doubted_at > HEARTBEAT_S:
                self._failed = "no heartbeat"
        if self._failed:
            raise Unavailable(f"consumer: {self._failed}")

    async def _pull(self) -> None:
        """Ask for more when nothing is outstanding and there is room."""
        if self._wanted or self._bytes >= PULL_BYTES or self._failed or self._subscription is None:
            return
        self._wanted = PULL_MESSAGES
        ask = {
            "batch": PULL_MESSAGES,
            "max_bytes": max(PULL_BYTES, self._client.max_payload + OVERHEAD_BYTES),
            "expires": EXPIRES_S * 1_000_000_000,
            "idle_heartbeat": HEARTBEAT_S * 1_000_000_000,
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM}.{self._consumer}"
        try:
            await self._client.publish(subject, msgspec.json.encode(ask), reply=self._subscription.subject)
        except NatsError as error:
            self._failed = str(error) or type(error).__name__

    async def _receive(self, message: Msg) -> None:
        self._heard_at = self._clock.monotonic()
        status = (message.headers or {}).get("Status")
        if status is None:
            self._take(message)
        elif status in ("408", "404") or (status == "409" and self._is_pull_over(message)):
            self._wanted = 0
        elif status != "100":
            self._failed = (message.headers or {}).get("Description", status)
        await self._pull()
        self._ready.set()

    def _is_pull_over(self, message: Msg) -> bool:
        """Tell the end of a pull from the end of the consumer."""
        said = (message.headers or {}).get("Description", "").lower()
        return "maxbytes" in said or "batch completed" in said

    def _take(self, message: Msg) -> None:
        if self._failed:
            return
        sequence = message.metadata.sequence
        if sequence.consumer != self._count + 1:
            self._failed = f"message {self._count + 1} of the consumer did not come"
            return
        self._count = sequence.consumer
        self._wanted = max(self._wanted - 1, 0)
        self.pending = message.metadata.num_pending
        signature = (message.headers or {}).get(envelope.SIGNATURE_HEADER)
        self._bytes += len(message.data)
        self._arrived.append(
            (self._clock.monotonic(), Message(sequence.stream, message.subject, message.data, signature))
        )
