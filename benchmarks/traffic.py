"""Signed batches as a gateway would send them, made beforehand: the load of the ingest benchmark.

Values walk at random and are rounded to 0.1, as most instruments give them; every batch holds one second of one
partition's devices, every value Good.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus import envelope, subjects
from muster.clock import SECOND_US
from muster.scans import How, Scans


@dataclass(frozen=True, slots=True)
class Message:
    """One message ready to be published."""

    subject: str
    headers: dict[str, str]
    body: bytes
    partition: int
    scans: Scans


def batches(
    key: Ed25519PrivateKey,
    *,
    gateway: int,
    devices: list[int],
    tags: int,
    start_us: int,
    seconds: int,
    seed: int = 1,
    counted: bool = False,
) -> Iterator[Message]:
    """Give `seconds` seconds of one scan per device and second, in the order in which they would be published.

    counted: the first value of a scan is its second, from 1, so that what is stored can be told to be whole.
    """
    random = np.random.default_rng(seed)
    numbers = np.array(devices, np.int32)
    value = random.uniform(20, 80, (len(devices), tags))
    phase = random.integers(0, SECOND_US, len(devices))
    members = [
        np.flatnonzero(numbers % subjects.PARTITIONS == partition) for partition in range(subjects.PARTITIONS)
    ]
    for second in range(seconds):
        value += random.normal(0, 0.3, value.shape)
        if counted:
            value[:, 0] = second + 1
        instant = start_us + second * SECOND_US + phase
        for partition, rows in enumerate(members):
            if len(rows) == 0:
                continue
            scans = Scans(
                numbers[rows],
                instant[rows],
                instant[rows] + 2_000,
                np.ones(len(rows), np.int32),
                np.full(len(rows), How.SOLICITED, np.uint8),
                np.arange(len(rows) + 1, dtype=np.int32) * tags,
                np.round(value[rows], 1).ravel(),
                None,
            )
            header = envelope.Header(
                gateway=gateway,
                partition=partition,
                epoch=1,
                sequence=second + 1,
                watched_from=start_us + second * SECOND_US,
                watched_until=start_us + (second + 1) * SECOND_US,
                sealed_at=start_us + (second + 1) * SECOND_US,
            )
            body = envelope.encode(header, scans)
            yield Message(
                subjects.batch(partition, gateway),
                {
                    envelope.SIGNATURE_HEADER: envelope.sign(body, key),
                    "Nats-Msg-Id": f"{gateway}.{partition}.1.{second + 1}",
                },
                body,
                partition,
                scans,
            )
