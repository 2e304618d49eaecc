"""The stream as ingest sees it: which one it is, what of it is still there, and purging what was stored.

A purge leaves each partition's last stored message, so that a place in the stream can be found again: where
the message is still there, nothing between it and the next was lost. How far was stored is also kept as
metadata of the stream, which tells a database that went back in time from a stream that was emptied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from bus import subjects
from bus.connection import ensure_stream
from muster.errors import Unavailable

log = structlog.get_logger()

_MARK = "muster-stored-"


@dataclass(frozen=True, slots=True)
class Extent:
    """The stream now: its identity, its limits, how far each partition was once stored from it."""

    identity: str
    created: datetime
    first: int
    last: int
    stored: Mapping[int, int]


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
    metadata = info.config.metadata or {}
    stored = {
        partition: int(metadata[f"{_MARK}{partition}"])
        for partition in range(subjects.PARTITIONS)
        if metadata.get(f"{_MARK}{partition}", "").isdigit()
    }
    return Extent(info.created.isoformat(), info.created, info.state.first_seq, info.state.last_seq, stored)


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


async def purge(client: Client, stored: Mapping[int, int], needed: Mapping[int, int]) -> None:
    """Let the stream forget what was stored.

    stored: the last stored sequence by partition; needed: the first message by partition that must stay.

    Raises:
        Unavailable: the server does not answer; nothing is lost by purging later.
    """
    jetstream = client.jetstream()
    try:
        config = (await jetstream.stream_info(subjects.STREAM)).config
        marks = {f"{_MARK}{partition}": str(sequence) for partition, sequence in stored.items()}
        if any((config.metadata or {}).get(key) != value for key, value in marks.items()):
            await jetstream.update_stream(config.evolve(metadata={**(config.metadata or {}), **marks}))
        for partition, first in needed.items():
            await jetstream.purge_stream(subjects.STREAM, seq=first, subject=subjects.batches_of(partition))
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"stream {subjects.STREAM}: {error or type(error).__name__}") from error
