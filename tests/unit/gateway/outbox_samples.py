"""Batches for the outbox's tests: any bytes will do, the outbox does not look inside."""

import base64
import random

from bus.subjects import PARTITIONS
from gateway.outbox.records import Sealed
from gateway.outbox.store import Outbox

SECOND = 1_000_000


def signature(seed: int) -> str:
    return base64.b64encode(random.Random(seed).randbytes(64)).decode()


def batch(partition: int, epoch: int, sequence: int, size: int = 40) -> Sealed:
    """A batch whose span is the second `sequence` of its epoch."""
    at = (epoch * 1000 + sequence) * SECOND
    body = random.Random(at + partition).randbytes(size)
    return Sealed(partition, epoch, sequence, at, at + SECOND, signature(at), body)


def fill(outbox: Outbox, epoch: int, seals: int, *, first: int = 1, size: int = 40) -> list[Sealed]:
    """Append seals of one batch per partition and return all batches."""
    written: list[Sealed] = []
    for sequence in range(first, first + seals):
        batches = [batch(partition, epoch, sequence, size) for partition in range(PARTITIONS)]
        outbox.append(outbox.marks.through + 10, batches)
        written += batches
    return written


def drain(outbox: Outbox, partition: int, most: int = 1_000_000) -> list[Sealed]:
    """Read and acknowledge what a partition holds, at most so many."""
    read: list[Sealed] = []
    while len(read) < most and (found := outbox.read(partition)) is not None:
        read.append(found)
        outbox.acknowledge(partition)
    outbox.settle()
    return read


def of(partition: int, batches: list[Sealed]) -> list[Sealed]:
    return [each for each in batches if each.partition == partition]
