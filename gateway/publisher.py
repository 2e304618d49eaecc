"""The publisher: gives the outbox's batches to the stream, in order, one in flight per partition.

A batch leaves the outbox only when JetStream has acknowledged it. Whatever stands in the way (no server, no
stream, a full stream, a lost acknowledgement) is answered in one way: keep the batch and try again. A batch
that arrives twice is known by its name, first by the stream, then by ingest.
"""

import asyncio
import random
import time

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError
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
        self._advanced = asyncio.Event()
        self._woken = [asyncio.Event() for _ in range(PARTITIONS)]

    def wake(self) -> None:
        """Look into the outbox again: something was sealed."""
        for woken in self._woken:
            woken.set()

    async def run(self, client: Client) -> None:
        """Publish until cancelled."""
        jetstream = client.jetstream()
        async with asyncio.TaskGroup() as group:
            for partition in range(PARTITIONS):
                group.create_task(
                    self._send_partition(client, jetstream, partition), name=f"publish {partition}"
                )

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

    async def _send_partition(self, client: Client, jetstream: JetStreamContext, partition: int) -> None:
        loop = asyncio.get_running_loop()
        woken = self._woken[partition]
        pause_s = _FIRST_PAUSE_S
        while True:
            woken.clear()
            try:
                if self._outbox.sent(partition):  # the disk is not asked again for what is not there
                    await woken.wait()
                    continue
                batch = await loop.run_in_executor(None, self._outbox.read, partition)
                if batch is None:
                    await woken.wait()
                    continue
                await self._send(client, jetstream, batch)
                await loop.run_in_executor(None, self._outbox.acknowledge, partition)
                self._advanced.set()
            except OSError as error:
                _log.error("outbox-unreadable", partition=partition, error=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                pause_s = _FIRST_PAUSE_S

    async def _send(self, client: Client, jetstream: JetStreamContext, batch: Sealed) -> None:
        """Give one batch to the stream, however long it takes."""
        began = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._attempt(client, jetstream, batch)
            except MusterError as error:
                self._say_problem(str(error))
                self.retries += 1
                # A server that is away is looked for often; one that refuses is given time.
                await asyncio.sleep((_LOOK_S if isinstance(error, Unavailable) else pause_s) * _jitter())
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self.latency.observe(time.monotonic() - began)
                self.published += 1
                self._say_problem(None)
                return

    async def _attempt(self, client: Client, jetstream: JetStreamContext, batch: Sealed) -> None:
        """Publish once. Raises Unavailable while the server is away, Backpressure when the stream refuses."""
        if not client.is_connected:
            raise Unavailable("the bus is away")
        reconnects = client.stats["reconnects"]
        name = f"{self._gateway}.{batch.partition}.{batch.epoch}.{batch.sequence}"
        publish = asyncio.ensure_future(
            jetstream.publish(
                subjects.batch(batch.partition, self._gateway),
                batch.body,
                timeout=ACKNOWLEDGE_TIMEOUT_S,
                stream=subjects.STREAM,
                headers={SIGNATURE_HEADER: batch.signature, "Nats-Msg-Id": name},
            )
        )
        try:
            while not (await asyncio.wait([publish], timeout=_LOOK_S))[0]:
                if not client.is_connected or client.stats["reconnects"] != reconnects:
                    raise Unavailable("the bus went away before it acknowledged")
            acknowledged = publish.result()
        except NoStreamResponseError as error:
            raise Backpressure("the bus has no stream for batches") from error
        except APIError as error:
            raise Backpressure(f"the stream refuses: {error.description}") from error
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            raise Backpressure(f"no acknowledgement: {error or type(error).__name__}") from error
        finally:
            publish.cancel()
        if acknowledged.duplicate:
            self.duplicates += 1

    def _say_problem(self, problem: str | None) -> None:
        if problem != self.problem:
            if problem is None:
                _log.info("publishing-again")
            else:
                _log.warning("publishing-waits", reason=problem)
            self.problem = problem


def _jitter() -> float:
    return random.uniform(0.5, 1.5)
