"""A gateway made of a key and a counter, and an installation for it: what the tests of ingest send and find."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from psycopg import Connection
from psycopg.rows import TupleRow

from bus import envelope, subjects
from bus.envelope import Header
from muster.events import Event, TextReading
from muster.scans import How, Scans
from tests.scan_builder import ScanBuilder

SECOND = 1_000_000


def now_us() -> int:
    return time.time_ns() // 1000


def rows(dsn: str, query: str, *given: object) -> list[TupleRow]:
    """Ask the database one question."""
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as connection:
        return connection.execute(query.encode(), given).fetchall()


@dataclass
class Installation:
    """Gateways and devices in the device book; numbers as the database gave them."""

    dsn: str
    gateways: list[int] = field(default_factory=list)
    keys: dict[int, Ed25519PrivateKey] = field(default_factory=dict)
    devices: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def make(
        cls, dsn: str, gateways: int = 1, devices: int = 8, tags: int = 10, enterprises: int = 1
    ) -> "Installation":
        made = cls(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            for number in range(1, enterprises + 1):
                connection.execute(
                    "insert into enterprise (code, name) values (%s, %s)", (f"e{number}", f"企业{number}")
                )
            for number in range(1, gateways + 1):
                made.add_gateway(connection, (number - 1) % enterprises + 1, devices, tags)
        return made

    def add_gateway(self, connection: Connection[TupleRow], enterprise: int, devices: int, tags: int) -> int:
        key = Ed25519PrivateKey.generate()
        code = f"g{len(self.gateways) + 1}"
        row = connection.execute(
            "insert into gateway (enterprise, code, name) values (%s, %s, %s) returning id",
            (enterprise, code, code),
        ).fetchone()
        assert row is not None
        gateway = int(row[0])
        connection.execute(
            "insert into gateway_key (gateway, public_key) values (%s, %s)",
            (gateway, key.public_key().public_bytes_raw()),
        )
        self.gateways.append(gateway)
        self.keys[gateway] = key
        self.devices[gateway] = [
            self.add_device(connection, enterprise, gateway, f"{code}-{n}", tags) for n in range(devices)
        ]
        return gateway

    def add_device(
        self, connection: Connection[TupleRow], enterprise: int, gateway: int, code: str, tags: int
    ) -> int:
        with connection.transaction():
            row = connection.execute(
                "insert into device (enterprise, gateway, code, name, device_class, protocol)"
                " values (%s, %s, %s, %s, 'operating', 'modbus') returning id",
                (enterprise, gateway, code, code),
            ).fetchone()
            assert row is not None
            connection.execute(
                "insert into tag (device, position, enterprise, name, type, address)"
                " select %s, n, %s, 't' || n, 'float32', '{}' from generate_series(1, %s) n",
                (row[0], enterprise, tags),
            )
        return int(row[0])


@dataclass
class Gateway:
    """Seals and publishes batches as a gateway does, one partition at a time."""

    installation: Installation
    number: int
    epoch: int = 1
    at: int = 0
    sequence: dict[int, int] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)

    @property
    def devices(self) -> list[int]:
        return self.installation.devices[self.number]

    def in_partition(self, partition: int) -> list[int]:
        return [device for device in self.devices if subjects.partition_of(device) == partition]

    def restart(self) -> None:
        """A new process: a new epoch, and nobody watched meanwhile."""
        self.epoch += 1
        self.sequence.clear()
        self.until.clear()

    def seal(
        self,
        partition: int,
        scans: Scans | None = None,
        events: Sequence[Event] = (),
        texts: Sequence[TextReading] = (),
        *,
        since: int | None = None,
        until: int | None = None,
        stopping: bool = False,
        **changes: Any,
    ) -> tuple[bytes, str]:
        """Return the next batch of a partition and its signature."""
        until = now_us() if until is None else until
        begin = self.until.get(partition, until - SECOND // 2) if since is None else since
        self.sequence[partition] = self.sequence.get(partition, 0) + 1
        self.until[partition] = until
        named = {
            "gateway": self.number,
            "partition": partition,
            "epoch": self.epoch,
            "sequence": self.sequence[partition],
            "watched_from": begin,
            "watched_until": until,
            "sealed_at": until,
            **changes,
        }
        header = Header(**named, events=list(events), texts=list(texts), stopping=stopping)
        body = envelope.encode(header, scans or Scans.empty())
        return body, envelope.sign(body, self.installation.keys[self.number])

    async def publish(self, client: Client, partition: int, sealed: tuple[bytes, str], **headers: str) -> int:
        """Publish a sealed batch; return its stream sequence."""
        body, signature = sealed
        ack = await client.jetstream().publish(
            subjects.batch(partition, self.number),
            body,
            headers={envelope.SIGNATURE_HEADER: signature, **headers},
        )
        return ack.seq

    async def send(self, client: Client, partition: int, scans: Scans | None = None, **more: Any) -> int:
        """Seal and publish the next batch of a partition; return its stream sequence."""
        return await self.publish(client, partition, self.seal(partition, scans, **more))


def scans_of(devices: Sequence[int], values: int = 10, at: int | None = None, start: float = 0.0) -> Scans:
    """One scan of each device at one instant, its values counting up from `start`."""
    builder = ScanBuilder()
    at = now_us() if at is None else at
    for number, device in enumerate(devices):
        value = start + number * values + np.arange(values, dtype=np.float64)
        builder.add(device, at, at, 1, value, None, How.SOLICITED)
    return builder.build()
