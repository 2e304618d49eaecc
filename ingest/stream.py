"""The stream as ingest sees it: which one it is, what of it is still there, and purging what was stored.

A purge leaves each partition's last stored message, so that a place in the stream can be found again: where
the message is still there, nothing between it and the next was lost. How far was stored is also kept as
metadata of the stream, which tells a database that went back in time from a stream that was emptied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from bus import subjects
from bus.connection import ensure_stream
from muster.errors import Unavailable

log = structlog.get_logger()

_MARK = "muster-stored-"
KEPT_SHARE = 0.25
"""How much of what the stream may hold stays above the last message of a partition to which nothing comes."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The stream now: its identity, its limits, how far each partition was once stored from it."""

    identity: str
    created: datetime
    first: int
    last: int
    stored: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a partition is, as the database has it.

    stream: that stream's identity; sequence: the last stored; needed: the first that must stay, at most that.
    """

    partition: int
    stream: str
    sequence: int
    needed: int


@dataclass(frozen=True, slots=True)
class Break:
    """Database and stream do not meet: why, and the place to go on from."""

    reason: str
    sequence: int


async def extent(client: Client, limit_bytes: int) -> Extent:
    """Return the stream as it is now, made when there is none.

    Raises:
        Unavailable: the server does not answer.
    """
    jetstream = client.jetstream()
    try:
        await ensure_stream(jetstream, limit_bytes)
        info = await jetstream.stream_info(subjects.STREAM)
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"stream {subjects.STREAM}: {error or type(error).__name__}") from error
    assert info.created is not None
    state = info.state
    return Extent(_identity(info), info.created, state.first_seq, state.last_seq, _stored(info.config))


async def holds(client: Client, sequence: int, partition: int) -> bool:
    """Tell whether the stream holds the message at `sequence` and it is of `partition`.

    Raises:
        Unavailable: the server does not answer.
    """
    try:
        message = await client.jetstream().get_msg(subjects.STREAM, sequence)
    except NotFoundError:
        return False
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"stream {subjects.STREAM}: {error or type(error).__name__}") from error
    return (message.subject or "").startswith(f"batch.{partition}.")


def judge(identity: str, sequence: int, stream: Extent, partition: int, is_held: bool) -> Break | None:
    """Tell whether a partition's place (`identity`, `sequence`) in the database still is one in the stream.

    is_held: whether the stream holds the partition's message at `sequence`. None: nothing lies between.
    """
    stored = stream.stored.get(partition, 0)
    if not identity:
        return Break("database-restored", 0) if stored else None
    if identity != stream.identity or sequence > stream.last:
        return Break("stream-replaced", 0)
    if is_held or sequence in (stream.last, stream.first - 1) or (sequence == 0 and stored == 0):
        return None
    return Break("database-restored" if stored > sequence else "stream-purged", sequence)


async def purge(client: Client, places: Sequence[Place]) -> None:
    """Let the stream forget what was stored and is needed no more.

    places: of all partitions that the database knows, read before this is called. What all of them are done with goes
    at once, whole blocks without a look at the messages in them. A partition to which nothing comes holds that up; when
    much has gathered above its last message, the others are purged one by one.

    Raises:
        Unavailable: the server does not answer; nothing is lost by purging later.
    """
    jetstream = client.jetstream()
    try:
        info = await jetstream.stream_info(subjects.STREAM, subjects_filter=subjects.STREAM_SUBJECTS)
        config, state = info.config, info.state
        here = {each.partition: each for each in places if each.stream == _identity(info)}
        known = _stored(config)
        risen = {n: each.sequence for n, each in here.items() if each.sequence > known.get(n, 0)}
        if risen:
            marks = {f"{_MARK}{number}": str(sequence) for number, sequence in risen.items()}
            await jetstream.update_stream(config.evolve(metadata={**(config.metadata or {}), **marks}))
        named = {subject.split(".")[1] for subject in state.subjects or {}}
        held = [number for number in range(subjects.PARTITIONS) if str(number) in named]
        needed = {number: here[number].needed if number in here else 0 for number in held}
        lowest = max(min(needed.values(), default=0), state.first_seq)
        if lowest > state.first_seq:
            await jetstream.purge_stream(subjects.STREAM, seq=lowest)
        of_one = state.bytes / max(state.messages, 1)
        for partition, first in needed.items():
            if (first - lowest) * of_one > KEPT_SHARE * (config.max_bytes or 0):
                await jetstream.purge_stream(
                    subjects.STREAM, seq=first, subject=subjects.batches_of(partition)
                )
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"stream {subjects.STREAM}: {error or type(error).__name__}") from error


def _stored(config: StreamConfig) -> dict[int, int]:
    """Return how far each partition was once stored, as the stream has it."""
    metadata = config.metadata or {}
    return {
        partition: int(metadata[f"{_MARK}{partition}"])
        for partition in range(subjects.PARTITIONS)
        if metadata.get(f"{_MARK}{partition}", "").isdigit()
    }


def _identity(info: StreamInfo) -> str:
    assert info.created is not None
    return info.created.isoformat()
