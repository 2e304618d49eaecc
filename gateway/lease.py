"""This process's lease: one key in the bus, written again every two seconds by compare-and-set.

While the lease holds, nobody else is given this process's devices. It holds for `STOP_S` after a renewal was asked for,
and the assigner waits `LEASE_S` after it saw one, so this process has stopped before another begins. Whoever ends the
lease does so by compare-and-set on the same key: either that or the renewal fails, never both succeed. A lease that was
ended comes back with a higher term, and documents written for an earlier term are no longer this process's.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from bus import subjects
from muster.lease import LEASE_S, RENEW_S, STOP_S, LeaseNote

_log = structlog.get_logger()
_CALL_S = 2.0
_RETRY_S = 0.5


def _elapsed_s() -> float:
    """Return seconds that also pass while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The lease of one process; nothing is held before the first renewal."""

    def __init__(
        self, gateway: int, now_us: Callable[[], int], released: Callable[[], Iterable[int]]
    ) -> None:
        """now_us: wall clock, from which terms are made. released: devices that were let go and not yet given on."""
        self.term: int | None = None
        self.changed = asyncio.Event()
        """Set when the lease was obtained, lost or prolonged after it had run out."""
        self._key = subjects.lease_key(gateway)
        self._now_us = now_us
        self._released = released
        self._owner = secrets.token_hex(8)
        self._revision = 0
        self._until = float("-inf")

    @property
    def valid(self) -> bool:
        """Whether the lease holds at this instant; asked anew for every poll, also after a pause."""
        return self.term is not None and _elapsed_s() < self._until

    @property
    def left_s(self) -> float | None:
        """For how long it still holds without a renewal; None when it does not."""
        return max(0.0, self._until - _elapsed_s()) if self.valid else None

    async def run(self, client: Client) -> None:
        """Obtain and renew the lease over this connection until cancelled."""
        said = ""
        while True:
            pause_s = RENEW_S
            try:
                async with asyncio.timeout(_CALL_S):
                    bucket = await client.jetstream().key_value(subjects.LEASE_BUCKET)
                while True:
                    await self._renew(bucket)
                    said = ""
                    await asyncio.sleep(RENEW_S)
            except KeyWrongLastSequenceError:
                pause_s = await self._look(bucket)
            except (NatsError, OSError, TimeoutError, msgspec.MsgspecError) as error:
                words, pause_s = str(error) or type(error).__name__, _RETRY_S
                if words != said:
                    _log.warning("lease-waits", reason=words)
                    said = words
            await asyncio.sleep(pause_s)

    async def end(self, client: Client) -> None:
        """Say that this process lets go, so that others need not wait for the lease to run out."""
        if self.term is None:
            return
        term, self.term = self.term, None
        note = LeaseNote(self._owner, term, ended=True)
        try:
            async with asyncio.timeout(_CALL_S):
                bucket = await client.jetstream().key_value(subjects.LEASE_BUCKET)
                await bucket.update(self._key, msgspec.json.encode(note), last=self._revision)
        except (NatsError, OSError, TimeoutError) as error:
            _log.warning("lease-not-ended", reason=str(error) or type(error).__name__)

    async def _renew(self, bucket: KeyValue) -> None:
        """Write the key once. Raises KeyWrongLastSequenceError when somebody else wrote it meanwhile."""
        async with asyncio.timeout(_CALL_S):
            term = self.term
            if term is None:
                before, self._revision = await self._read(bucket)
                term = max(self._now_us(), before.term + 1 if before else 1)
            was_valid = self.valid
            asked = _elapsed_s()
            note = LeaseNote(self._owner, term, released=sorted(self._released()))
            self._revision = await bucket.update(self._key, msgspec.json.encode(note), last=self._revision)
        if self.term is None:
            _log.info("lease-obtained", term=term)
        self.term, self._until = term, asked + STOP_S
        if not was_valid:
            self.changed.set()

    async def _look(self, bucket: KeyValue) -> float:
        """See who wrote the key, and return how long to wait before it is tried again."""
        try:
            async with asyncio.timeout(_CALL_S):
                note, revision = await self._read(bucket)
        except (NatsError, OSError, TimeoutError, msgspec.MsgspecError):
            return _RETRY_S
        if note and note.owner == self._owner and note.term == self.term and not note.ended:
            self._revision = revision  # our own renewal, of which the answer was lost
            return 0.0
        held, self.term = self.term, None
        self.changed.set()
        if held is None or note is None or note.ended:
            _log.warning("lease-lost", term=held)
            return 0.0
        _log.error("lease-taken", term=held, by=note.owner)
        return LEASE_S

    async def _read(self, bucket: KeyValue) -> tuple[LeaseNote | None, int]:
        try:
            entry = await bucket.get(self._key)
        except KeyNotFoundError as error:
            return None, (error.entry.revision or 0) if error.entry else 0
        return msgspec.json.decode(entry.value or b"", type=LeaseNote), entry.revision or 0
