"""The bus in the gateway's tests: stream and bucket as the platform makes them, and what arrived in them."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from bus import subjects
from bus.connection import ensure_bucket, ensure_stream
from bus.envelope import Batch, decode, verify
from muster.events import Event
from tests.faults.answers import Answer, Gap

KEY = Ed25519PrivateKey.generate()


def write_key(path: Path) -> Path:
    """Write the test's gateway key where the settings' `key_file` points."""
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


async def lay(client: Client, limit_bytes: int = 1 << 28) -> None:
    """Make stream and bucket."""
    await ensure_stream(client.jetstream(), limit_bytes)
    await ensure_bucket(client.jetstream())


async def put(client: Client, gateway: int, documents: dict[int, bytes]) -> None:
    """Give a gateway its documents."""
    bucket = await client.jetstream().key_value(subjects.CONFIG_BUCKET)
    for number, document in documents.items():
        await bucket.put(subjects.device_key(gateway, number), document)


async def arrived(client: Client, partition: int) -> list[Batch]:
    """Return everything that the stream holds for a partition, in order, signatures checked."""
    subscription = await client.jetstream().pull_subscribe(
        subjects.batches_of(partition),
        stream=subjects.STREAM,
        config=ConsumerConfig(ack_policy=AckPolicy.NONE, inactive_threshold=5),
    )
    found: list[Batch] = []
    try:
        while True:
            messages = await subscription.fetch(500, timeout=0.5)
            for message in messages:
                assert message.headers is not None
                verify(message.data, message.headers["Muster-Signature"], KEY.public_key())
                found.append(decode(message.data))
    except TimeoutError:
        pass
    await subscription.unsubscribe()
    return found


async def everything(client: Client) -> list[Batch]:
    """Return what all partitions hold."""
    return [batch for partition in range(subjects.PARTITIONS) for batch in await arrived(client, partition)]


def stored_once(batches: Sequence[Batch]) -> list[Batch]:
    """Return the batches as ingest keeps them: each name once, in the order of names per partition.

    Asserts that names never go back except to repeat, with the same bytes, what came before.
    """
    kept: list[Batch] = []
    newest: dict[int, tuple[int, int]] = {}
    seen: dict[tuple[int, int, int], Batch] = {}
    for batch in batches:
        header = batch.header
        name = (header.epoch, header.sequence)
        if name <= newest.get(header.partition, (0, 0)):
            assert seen[header.partition, *name].header == header, "a name always means the same bytes"
            continue
        before = newest.get(header.partition, (header.epoch, 0))
        assert header.sequence == (before[1] + 1 if header.epoch == before[0] else 1), (
            "no sequence is left out"
        )
        newest[header.partition] = name
        seen[header.partition, *name] = batch
        kept.append(batch)
    return kept


def answers(batches: Sequence[Batch]) -> list[Answer]:
    """Return the counting equipment's answers in `batches`."""
    found: list[Answer] = []
    for batch in batches:
        scans = batch.scans
        counts = scans.value[scans.offsets[:-1]].tolist()
        for device, count, at in zip(scans.device.tolist(), counts, scans.received.tolist(), strict=True):
            found.append(Answer(device, int(count), at))
    return found


def gap_events(batches: Sequence[Batch]) -> list[Event]:
    """Return all gap events, once per partition that carries them."""
    return [event for batch in batches for event in batch.header.events if event.kind == "gap"]


def gaps(batches: Sequence[Batch]) -> list[Gap]:
    """Return the listed gaps of all devices."""
    return [Gap(event.device or None, event.at, event.until or event.at) for event in gap_events(batches)]
