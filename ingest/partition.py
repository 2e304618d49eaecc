"""One partition of the stream, held by this worker: read in order, stored in transactions, fenced.

What came is checked, given to its gateway's observer, and written with the position in one transaction. When
anything fails, what is in memory is thrown away and begun anew from the database.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ingest import metrics, place, stream
from ingest.intake import Accepted, Intake, Message, Refused, gateway_named
from ingest.observer import Observer
from ingest.place import Fenced, Numbers, Position
from ingest.reader import PULL_MESSAGES, Reader
from ingest.registry import Registry
from ingest.reopen import reopen
from ingest.restore import known_identities, restore
from ingest.roll import Roll
from ingest.writer import write
from ingest.writes import DeviceMinutes, Quarantined, Stored, Writes
from muster.clock import SECOND_US, Clock
from muster.errors import Unavailable
from store.connection import connected

log = structlog.get_logger()

Connection = AsyncConnection[TupleRow]

SILENT_MS = 15_000
"""The server ends the session of a worker that has stopped, within a transaction or without."""
STAY_S = 5.0
RETRY_S = 1.0
NEED_EVERY_S = 10.0
"""How often it is said from where on the stream is needed; where nothing comes, everything is written down before."""
MINUTE_LATE_US = 2 * SECOND_US
"""How long after its end a minute is closed at the latest, when nothing more comes."""


@dataclass(slots=True)
class Partition:
    """Stores one partition for as long as it is told to. `run` is its life; `reading` while all is well."""

    number: int
    dsn: str
    worker: str
    client: Client
    registry: Registry
    clock: Clock
    limit_bytes: int
    reading: bool = False
    _intake: Intake = field(init=False)
    _anew: bool = True
    _ending: Callable[[], None] | None = None
    _observers: dict[int, Observer] = field(default_factory=dict)
    _roll: Roll = field(default_factory=Roll)
    _finished: list[DeviceMinutes] = field(default_factory=list)
    _condemned: dict[int, str] = field(default_factory=dict)
    _careful_until: int = 0
    _failed_alone: int = 0
    _batch_ids: Numbers = field(default_factory=lambda: Numbers("batch_ids"))
    _watch_ids: Numbers = field(default_factory=lambda: Numbers("watch_ids"))

    def __post_init__(self) -> None:
        self._intake = Intake(self.registry, self.number)

    def leave(self) -> None:
        """Wake whoever waits for messages, so that a stop that was set is seen at once."""
        if self._ending is not None:
            self._ending()

    async def run(self, stop: asyncio.Event) -> None:
        """Take the partition over whenever it is free, and store it, until `stop`.

        Raises:
            ConfigError: the database refuses this worker.
        """
        while not stop.is_set():
            try:
                await self._hold(stop)
            except Fenced:
                metrics.fenced.labels(self.number).inc()
                log.warning("partition-fenced", partition=self.number)
            except Unavailable as error:
                log.warning("partition-interrupted", partition=self.number, reason=str(error))
            finally:
                self.reading = False
                metrics.owned.labels(self.number).set(0)
            await _wait(stop, RETRY_S * random.uniform(0.5, 1.5))

    async def _hold(self, stop: asyncio.Event) -> None:
        timeouts = {"idle_session_timeout": SILENT_MS, "idle_in_transaction_session_timeout": SILENT_MS}
        async with connected(self.dsn, f"ingest {self.worker} {self.number}", **timeouts) as connection:
            position = await place.take_over(connection, self.number, self.worker, stop)
            if position is None:
                return
            metrics.owned.labels(self.number).set(1)
            log.info(
                "partition-taken", partition=self.number, sequence=position.sequence, fence=position.fence
            )
            self._anew = True
            while not stop.is_set():
                try:
                    extent = await stream.extent(self.client, self.limit_bytes)
                    moved = await place.meet(connection, self.client, position, extent)
                    if moved or self._anew:
                        self._observers = await restore(
                            connection, self.client, self._intake, position, self.clock
                        )
                        self._roll.first_sequence = 0
                    if self._anew:
                        self._roll, self._finished = await reopen(
                            connection, self.client, self._intake, position, extent.first, self.clock
                        )
                        self._anew = False
                    async with Reader(self.client, self.number, position.sequence, self.clock) as reader:
                        self.reading = True
                        self._ending = reader.end
                        await self._read(connection, position, reader, stop)
                except Fenced:
                    raise
                except Unavailable as error:
                    self.reading = False
                    log.warning("stream-interrupted", partition=self.number, reason=str(error))
                    await connection.execute("select 1")
                    await _wait(stop, RETRY_S * random.uniform(0.5, 1.5))

    async def _read(
        self, connection: Connection, position: Position, reader: Reader, stop: asyncio.Event
    ) -> None:
        """Store what comes until `stop`; then leave everything remembered for whoever is next."""
        need_at = self.clock.monotonic() + NEED_EVERY_S * random.uniform(0.5, 1.0)
        needed = 0
        stay_at = self.clock.monotonic() + STAY_S
        while not stop.is_set():
            careful = position.sequence < self._careful_until
            group = await reader.group(most=1 if careful else PULL_MESSAGES)
            if group:
                try:
                    await self._store(connection, position, group)
                except (psycopg.DataError, psycopg.IntegrityError) as error:
                    self._doubt(group, error)
                    return
            elif self.clock.monotonic() >= stay_at:
                stay_at = self.clock.monotonic() + STAY_S
                await connection.execute("select 1")  # keeps the session, and with it the lock
            if not group and self._minute_is_over:
                await self._write_down(connection, position)
            metrics.waiting.labels(self.number).set(reader.pending)
            if self.clock.monotonic() >= need_at:
                need_at = self.clock.monotonic() + NEED_EVERY_S
                if self._finished or (not group and any(o.unremembered for o in self._observers.values())):
                    await self._write_down(connection, position, all_of_it=True)
                if needed != (needed := self._needed(position)):
                    await place.need(connection, position, needed)
        await self._write_down(connection, position, all_of_it=True, leaving=True)

    async def _store(self, connection: Connection, position: Position, group: list[Message]) -> None:
        """Store a group of messages in one transaction."""
        began = self.clock.monotonic()
        checked = [await self._check(connection, message) for message in group]
        for item in checked:
            header = item.batch.header if isinstance(item, Accepted) else item.header
            if header is not None and header.gateway not in self._observers:
                observer = Observer(header.gateway, self.number, self._intake.stride, self.registry)
                observer.identities = await known_identities(connection, header.gateway)
                self._observers[header.gateway] = observer
        batch_ids = await self._batch_ids.draw(connection, len(group))
        watch_ids = await self._watch_ids.draw(connection, len(group))
        async with connection.transaction():
            writes = Writes(await place.move(connection, position, group[-1].stream_sequence))
            for message, item, number, watch in zip(group, checked, batch_ids, watch_ids, strict=True):
                self._observe(message, item, number, watch, writes)
            for observer in self._observers.values():
                observer.remember(writes)
            writes.minutes += [*self._finished, *self._roll.close(writes.recorded_us)]
            await write(connection, writes, self.number, self._intake.stride, position.stream)
        position.sequence = group[-1].stream_sequence
        self._finished.clear()
        self._roll.take(writes.recorded_us, writes.batches, writes.scans)
        for row in writes.watches.values():
            row.stored = True
        self._condemned = {n: why for n, why in self._condemned.items() if n > position.sequence}
        self._count(writes, self.clock.monotonic() - began)

    async def _check(self, connection: Connection, message: Message) -> Accepted | Refused:
        for is_last in (False, True):
            version = self.registry.version
            try:
                accepted = self._intake.check(message)
            except Refused as refused:
                if is_last or not refused.unknown:
                    return refused
                if not await self.registry.look_again(connection, gateway_named(message.subject), version):
                    return refused
            else:
                why = self._condemned.get(message.stream_sequence)
                if why is not None:
                    return Refused("refused-by-database", {"error": why}, accepted.batch.header)
                return accepted
        raise AssertionError("the second look returns")

    def _observe(
        self, message: Message, item: Accepted | Refused, number: int, watch: int, writes: Writes
    ) -> None:
        if isinstance(item, Accepted):
            observer = self._observers[item.batch.header.gateway]
            lease_us = round(self.registry.definition.lease_s * SECOND_US)
            if not observer.take(Stored(number, item), watch, writes, lease_us):
                metrics.duplicates.labels(self.number).inc()
            return
        if item.header is not None:
            self._observers[item.header.gateway].pass_over(
                item.header, message.stream_sequence, item.reason, writes
            )
        gateway = gateway_named(message.subject)
        known = self.registry.gateways.get(gateway)
        enterprise = known.enterprise if known else None
        writes.quarantined.append(Quarantined(enterprise, gateway or None, message, item.reason, item.detail))

    @property
    def _minute_is_over(self) -> bool:
        ends = self._roll.ends_us
        return ends is not None and self.clock.now_us() >= ends + MINUTE_LATE_US

    async def _write_down(
        self, connection: Connection, position: Position, *, all_of_it: bool = False, leaving: bool = False
    ) -> None:
        """Write down the minute that has ended and where watches stand: those that are due, or `all_of_it`.

        leaving: also the minute that has not ended; whoever is next begins a part of its own.
        """
        async with connection.transaction():
            writes = Writes(await place.move(connection, position, position.sequence))
            for observer in self._observers.values():
                observer.remember(writes, all_of_it=all_of_it)
            writes.minutes += [*self._finished, *self._roll.close(None if leaving else writes.recorded_us)]
            await write(connection, writes, self.number, self._intake.stride, position.stream)
        self._finished.clear()
        if leaving:
            self._roll = Roll()
        self._roll.take(writes.recorded_us, [])

    def _needed(self, position: Position) -> int:
        """Return from where on the stream is needed: what is not remembered yet, or the last message stored."""
        needed = [o.remembered + 1 for o in self._observers.values() if o.unremembered]
        if self._roll.first_sequence:
            needed.append(self._roll.first_sequence)
        return min([position.sequence, *needed])

    def _doubt(self, group: list[Message], error: psycopg.Error) -> None:
        """Find the batch that the database refuses: one by one from here on, and it must fail alone twice.

        A row that was on its way to a default partition while its own was made is refused too; that is nobody's
        fault, it carries no constraint's name, and trying again helps.
        """
        said = f"{error.sqlstate or ''} {error.diag.message_primary or error}".strip()
        self._anew = True
        if isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None:
            log.info("group-again", partition=self.number, reason=said)
            return
        log.error("group-refused", partition=self.number, batches=len(group), error=said)
        self._careful_until = max(self._careful_until, group[-1].stream_sequence)
        if len(group) == 1:
            alone = group[0].stream_sequence
            if alone == self._failed_alone:
                self._condemned[alone] = said
            self._failed_alone = alone

    def _count(self, writes: Writes, took_s: float) -> None:
        metrics.commit_seconds.labels(self.number).observe(took_s)
        metrics.batches.labels(self.number).inc(len(writes.batches))
        stored = [item.accepted.batch for item in writes.batches]
        readings = sum(batch.scans.readings + len(batch.header.texts) for batch in stored)
        metrics.readings.labels(self.number).inc(readings)
        for refused in writes.quarantined:
            metrics.quarantined.labels(self.number, refused.reason).inc()
            log.warning(
                "batch-quarantined",
                partition=self.number,
                gateway=refused.gateway,
                reason=refused.reason,
                stream_sequence=refused.message.stream_sequence,
            )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `stop`, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
