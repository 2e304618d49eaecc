"""A world of gateways and devices whose history is written straight into the database, as ingest writes it.

It keeps what it wrote, batch by batch, so that `reference.py` can answer the same questions slowly. Times are
µs since 1970; the history lies in 2024, long before any row that a trigger stamps with the real clock.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import psycopg

from muster.clock import to_datetime
from muster.device import Origin
from muster.presence import State
from store.checkpoints import make_checkpoints
from store.connection import connected

SECOND = 1_000_000
BEGIN = 1_704_067_200 * SECOND
LEASE = 10 * SECOND
PARTITIONS = 4


@dataclass(frozen=True)
class Batch:
    """What one batch told of watching, and when it was recorded."""

    start: int
    end: int
    recorded: int
    epoch: int
    stopping: bool = False


@dataclass(frozen=True)
class Transition:
    """From `at` on the device is in `state`, in the watch that `span` names."""

    device: int
    span: int
    at: int
    recorded: int
    state: State
    reason: str


@dataclass(frozen=True)
class Page:
    """The ledger on one device from `at` on."""

    at: int
    gateway: int | None
    enterprise: int
    name: str
    industry: str = "metallurgy"
    device_class: str = "operating"
    consumes_energy: bool = True
    origin: Origin = Origin.SIMULATED
    retired: bool = False


@dataclass(frozen=True)
class Said:
    """What the device said it is."""

    at: int
    recorded: int
    origin: Origin | None


@dataclass
class Row:
    """A watch row as ingest keeps it, beside the batches it was made from."""

    id: int
    span: int
    live: bool
    batches: list[Batch]


@dataclass
class World:
    """Everything that was written."""

    owner: psycopg.Connection[Any]
    ingest: psycopg.Connection[Any]
    address: str
    enterprises: dict[int, str] = field(default_factory=dict)
    gateways: list[int] = field(default_factory=list)
    ledger: dict[int, list[Page]] = field(default_factory=dict)
    said: dict[int, list[Said]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[tuple[int, int], list[Row]] = field(default_factory=lambda: defaultdict(list))
    transitions: dict[int, list[Transition]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def open(cls, owner: str, ingest: str) -> "World":
        return cls(psycopg.connect(owner, autocommit=True), psycopg.connect(ingest, autocommit=True), owner)

    def checkpoint(self) -> int:
        """Make every checkpoint that the history so far allows, one after each row where it can."""

        async def make() -> int:
            async with connected(self.address, "keeper") as connection:
                return await make_checkpoints(connection, timedelta(0), 1)

        return asyncio.run(make())

    def close(self) -> None:
        self.owner.close()
        self.ingest.close()

    def enterprise(self, code: str, name: str | None = None) -> int:
        number = self._returning(
            "insert into enterprise (code, name, industry) values (%s, %s, 'metallurgy') returning id",
            (code, name or code),
        )
        self.enterprises[number] = code
        return number

    def gateway(self, code: str, enterprise: int | None = None) -> int:
        number = self._returning(
            "insert into gateway (code, name, enterprise) values (%s, %s, %s) returning id",
            (code, code, enterprise),
        )
        self.gateways.append(number)
        return number

    def device(self, at: int, enterprise: int, gateway: int | None, **facts: Any) -> int:
        page = Page(at, gateway, enterprise, facts.pop("name", "设备"), **facts)
        number = self._returning(
            """insert into device (enterprise, gateway, code, name, device_class, industry, protocol, origin)
            values (%s, %s, 'D-' || md5(random()::text), %s, 'operating', 'metallurgy', 'modbus', %s)
            returning id""",
            (enterprise, gateway, page.name, "simulated"),
        )
        self.ledger[number] = []
        self.change(number, page)
        return number

    def change(self, device: int, page: Page) -> None:
        """Write the ledger's new page on a device."""
        self.ledger[device].append(page)
        self.owner.execute(
            """insert into device_history (device, enterprise, recorded_at, version, gateway, code, name,
                device_class, industry, kind, consumes_energy, interval_s, origin, protocol,
                endpoint, retired)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, '', %s, 1, %s, 'modbus', '', %s)""",
            (
                device,
                page.enterprise,
                to_datetime(page.at),
                len(self.ledger[device]),
                page.gateway,
                f"D-{device}",
                page.name,
                page.device_class,
                page.industry,
                page.consumes_energy,
                page.origin.value,
                page.retired,
            ),
        )

    def alter(self, device: int, at: int, **facts: Any) -> None:
        """Change some facts of the ledger at `at`."""
        self.change(device, replace(self.ledger[device][-1], at=at, **facts))

    def identify(self, device: int, at: int, recorded: int, origin: Origin | None) -> None:
        self.said[device].append(Said(at, recorded, origin))
        self.ingest.execute(
            """insert into identity (enterprise, device, gateway, observed_at, origin, evidence, digest,
                recorded_at) values (%s, %s, 1, %s, %s, '{}', '', %s)""",
            (self.ledger[device][0].enterprise, device, to_datetime(at), origin, to_datetime(recorded)),
        )

    def watch(self, gateway: int, partition: int, batch: Batch) -> int:
        """Record that a batch told of watching; return the span it belongs to."""
        rows = self.rows[gateway, partition]
        last = rows[-1] if rows else None
        newest = last.batches[-1] if last else None
        continues = (
            newest is not None
            and newest.end == batch.start
            and newest.epoch == batch.epoch
            and not newest.stopping
        )
        live = batch.recorded - batch.end < LEASE
        if last and newest and continues and live and last.live and batch.recorded - newest.recorded <= LEASE:
            last.batches.append(batch)
            self.ingest.execute(
                "update watch set valid_to = %s, recorded_to = %s, ended = %s where id = %s",
                (to_datetime(batch.end), to_datetime(batch.recorded), batch.stopping, last.id),
            )
            return last.span
        number = self._returning("select nextval('watch_id_seq')", ())
        span = last.span if last and continues else number
        self.ingest.execute(
            "insert into watch values (%s, %s, null, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                number,
                span,
                gateway,
                partition,
                batch.epoch,
                to_datetime(batch.start),
                to_datetime(batch.end),
                to_datetime(batch.recorded),
                to_datetime(batch.recorded),
                live,
                batch.stopping,
            ),
        )
        rows.append(Row(number, span, live, [batch]))
        return span

    def see(self, device: int, span: int, at: int, recorded: int, state: State, reason: str = "") -> None:
        transition = Transition(device, span, at, recorded, state, reason or state.word)
        self.transitions[device].append(transition)
        page = self.ledger[device][0]
        self.ingest.execute(
            "insert into presence values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                device,
                page.enterprise,
                page.gateway or 0,
                span,
                to_datetime(at),
                int(state),
                transition.reason,
                to_datetime(recorded),
            ),
        )

    def _returning(self, statement: str, parameters: tuple[Any, ...]) -> int:
        connection = self.ingest if "watch_id_seq" in statement else self.owner
        row = connection.execute(statement, parameters).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])
