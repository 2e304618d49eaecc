"""Gives the devices of a gateway of several processes to those that live, and takes them from one that died.

The database says who holds what, for the count follows it; the bus says who lives. A process whose lease was not
renewed for `LEASE_S` is ended by compare-and-set on its key, and only when that succeeded do its devices go to others:
it had stopped by itself before. From a living process a device is asked for, and goes on once it was let go. Without
database or bus nothing moves, and everybody keeps what it has.
"""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from bus import subjects
from bus.connection import ask, connect_patiently, ensure_bucket
from bus.settings import BusSettings
from muster.errors import MusterError, Unavailable
from muster.lease import LEASE_S, LeaseNote
from services.ledger.queries import QUERIES
from services.ledger.seats import Member, Plan, Seat, plan
from store.connection import connected, translated

TICK_S = 1.0
IDLE_S = 5.0
"""How often it is looked for gateways of several processes where there are none."""
SETTLE_S = 30.0
"""A process that lives this long gets devices of fuller ones."""
_HOLE_S = 3.0
"""Looks further apart than this prove nothing about what happened between them."""
_CALL_S = 3.0
_PLACES = ("host", "port", "serial", "url", "broker")

_log = structlog.get_logger()
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a member's lease; monotonic seconds. lived: a renewal was seen. ended: it holds none."""

    revision: int
    note: LeaseNote | None
    at_s: float
    since_s: float
    lived: bool = False
    ended: bool = False


async def assign(database_dsn: str, bus: BusSettings, stop: asyncio.Event) -> None:
    """Assign devices until `stop` is set, through restarts of database and bus.

    database_dsn: as a role that sees every enterprise when it says so.
    """
    while not stop.is_set():
        client = await connect_patiently(bus, "assigner", stop)
        if client is None:
            return
        try:
            everything = {"muster.enterprise": "all"}
            async with connected(database_dsn, "assigner", **everything) as session:
                await _Assigner(client, session).run(stop)
        except (MusterError, NatsError, OSError, TimeoutError) as error:
            _log.warning("assigner-away", error=str(error) or type(error).__name__)
        finally:
            await client.close()
        if not stop.is_set():
            await _pause(stop, TICK_S)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


class _Assigner:
    """One session; what was seen of leases begins anew with it."""

    def __init__(self, client: Client, session: Connection) -> None:
        self._client, self._session = client, session
        self._seen: dict[int, Seen] = {}
        self._looked_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        bucket = await ensure_bucket(self._client.jetstream(), bucket=subjects.LEASE_BUCKET)
        reconnects = self._client.stats["reconnects"]
        while not stop.is_set():
            if self._client.stats["reconnects"] != reconnects:
                raise Unavailable("the bus was away")
            groups = await self._groups()
            if groups:
                await self._look(bucket, sorted({number for group in groups.values() for number in group}))
            for head, members in groups.items():
                await self._serve(head, members)
            await _pause(stop, TICK_S if groups else IDLE_S)

    async def _groups(self) -> dict[int, list[int]]:
        """Return the members of each gateway of several processes, itself among them."""
        found: dict[int, list[int]] = defaultdict(list)
        with translated():
            for member, head in await (await self._session.execute(QUERIES["members"])).fetchall():
                found[head].append(member)
        return {head: [head, *members] for head, members in found.items()}

    async def _look(self, bucket: KeyValue, members: list[int]) -> None:
        """See every lease once, and end those that ran out."""
        now = time.monotonic()
        if now - self._looked_s > _HOLE_S:
            self._seen.clear()
        self._looked_s = now
        for number in members:
            async with asyncio.timeout(_CALL_S):
                revision, note = await _read(bucket, number)
            before, now = self._seen.get(number), time.monotonic()
            ended = note is not None and note.ended
            if before is None:
                self._seen[number] = Seen(revision, note, now, now)
            elif before.revision != revision:
                since = before.since_s if before.lived and _term(before) == (note and note.term) else now
                lived = not ended
                self._seen[number] = Seen(revision, note, now, since, lived, ended and before.lived)
            elif now - before.at_s >= LEASE_S and not before.ended:
                await self._end(bucket, number, before)

    async def _end(self, bucket: KeyValue, number: int, seen: Seen) -> None:
        """End a lease that was not renewed; when it was renewed just now, it goes on."""
        if seen.note is None or seen.note.ended:
            self._seen[number] = replace(seen, lived=False, ended=True)
            return
        note = LeaseNote(seen.note.owner, seen.note.term, ended=True)
        try:
            async with asyncio.timeout(_CALL_S):
                revision = await bucket.update(
                    subjects.lease_key(number), msgspec.json.encode(note), last=seen.revision
                )
        except KeyWrongLastSequenceError:
            return
        _log.warning("lease-ended", gateway=number, term=note.term)
        self._seen[number] = Seen(revision, note, time.monotonic(), time.monotonic(), ended=True)

    async def _serve(self, head: int, members: list[int]) -> None:
        """Bring the devices of one gateway to where they should be."""
        now = time.monotonic()
        living = {
            number: Member(
                number, seen.note.term, now - seen.since_s >= SETTLE_S, frozenset(seen.note.released)
            )
            for number in members
            if (seen := self._seen[number]).lived and seen.note is not None
        }
        complete = all(number in living or self._seen[number].ended for number in members)
        with translated():
            rows = await (await self._session.execute(QUERIES["seats"], {"gateway": head})).fetchall()
        seats = [Seat(device, _bundle(protocol, place), *held) for device, protocol, place, *held in rows]
        wanted = plan(seats, living, complete=complete)
        await self._give(wanted.give, seats, living)
        if wanted.release:
            free = await self._release(wanted, living)
            asked = {device for devices in wanted.release.values() for device in devices}
            given = plan(seats, free, complete=complete).give
            await self._give({device: given[device] for device in asked & given.keys()}, seats, living)

    async def _release(self, wanted: Plan, living: dict[int, Member]) -> dict[int, Member]:
        """Ask for devices, and return the living with what they let go.

        Should this process end before it gives them on, the lease of whoever let go still says so.
        """
        free = dict(living)
        for number, devices in wanted.release.items():
            try:
                question = {"devices": devices}
                told = await ask(self._client, subjects.request(number, "release"), question, _CALL_S)
                free[number] = replace(living[number], released=frozenset(told["released"]))
                _log.info("devices-released", gateway=number, count=len(devices))
            except MusterError as error:
                _log.warning("release-refused", gateway=number, error=str(error))
        return free

    async def _give(self, give: dict[int, int], seats: list[Seat], living: dict[int, Member]) -> None:
        by_device = {seat.device: seat for seat in seats}
        rows = [
            {
                "device": device,
                "holder": holder,
                "term": 0 if by_device[device].pinned_to is not None else living[holder].term,
                "was": by_device[device].held_by,
                "was_term": by_device[device].term,
            }
            for device, holder in give.items()
        ]
        if not rows:
            return
        given = {"rows": Jsonb(rows), "partitions": subjects.PARTITIONS}
        with translated():
            async with self._session.transaction():
                cursor = await self._session.execute(QUERIES["seat"], given)
        counts: dict[int, int] = defaultdict(int)
        for row in rows:
            counts[int(row["holder"] or 0)] += 1
        _log.info("devices-given", count=cursor.rowcount, to=dict(counts))


async def _read(bucket: KeyValue, number: int) -> tuple[int, LeaseNote | None]:
    try:
        entry = await bucket.get(subjects.lease_key(number))
    except KeyNotFoundError:
        return 0, None
    try:
        return entry.revision or 0, msgspec.json.decode(entry.value or b"", type=LeaseNote)
    except msgspec.MsgspecError:
        return entry.revision or 0, None


def _term(seen: Seen) -> int | None:
    return seen.note.term if seen.note is not None else None


def _bundle(protocol: str, connection: dict[str, Any]) -> str:
    """Return a text that is equal for devices behind one connection."""
    place = {name: connection[name] for name in _PLACES if name in connection}
    return msgspec.json.encode([protocol, place], order="sorted").decode()
