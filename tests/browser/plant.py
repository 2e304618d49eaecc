"""A small plant whose history stands in the database as ingest writes it, and which goes on living.

Twelve simulated pumps and four attested real ones, watched by one gateway for the last ten minutes. From eight
until four minutes ago the gateway's batches were held up: at that time nobody knew anything, later it came in.
`Heartbeat` lets the gateway go on watching while a page is looked at.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from muster.presence import State

PARTITIONS = 4
SIMULATED, REAL = 12, 4
OFFLINE, RESPONDING = 3, 7
BEAT_S = 0.5
TAGS = [("speed", "转速", "r/min", 1480.5), ("flow", "流量", "m³/h", 118.25), ("current", "电流", "A", 41.0)]


@dataclass
class Plant:
    """The numbers of what was written, and when its history began."""

    owner: str
    ingest: str
    began: datetime
    gateway: int = 0
    devices: list[int] = field(default_factory=list)
    spans: dict[int, int] = field(default_factory=dict)

    @property
    def held_up(self) -> datetime:
        """A second in the middle of the time that was learned of only later."""
        return self.began + timedelta(minutes=4)

    def set_state(self, device: int, state: State, reason: str) -> None:
        """Let a device change its state now."""
        now = datetime.now(UTC)
        with psycopg.connect(self.ingest, autocommit=True) as ingest:
            ingest.execute(
                """insert into presence (device, enterprise, gateway, span, valid_from, state, reason, recorded_at)
                select id, enterprise, gateway, %s, %s, %s, %s, %s from device where id = %s""",
                (self.spans[device % PARTITIONS], now, int(state), reason, now, device),
            )


def build(owner: str, ingest: str) -> Plant:
    """Write the plant into an empty, migrated database."""
    plant = Plant(owner, ingest, datetime.now(UTC) - timedelta(minutes=10))
    with psycopg.connect(owner) as book:
        _register(book, plant)
    with psycopg.connect(ingest) as history:
        _watch(history, plant)
        _presence(history, plant)
        _readings(history, plant)
        _gap(history, plant)
    return plant


def _one(connection: psycopg.Connection[Any], statement: str, facts: tuple[Any, ...]) -> int:
    row = connection.execute(statement, facts).fetchone()
    assert row is not None
    number: int = row[0]
    return number


def _register(book: psycopg.Connection[Any], plant: Plant) -> None:
    enterprise = _one(
        book,
        "insert into enterprise (code, name, industry) values ('yl-steel', '远联钢铁', 'metallurgy') returning id",
        (),
    )
    book.execute(
        "insert into site (enterprise, code, name) values (%s, 'furnace-hall', '炉区')", (enterprise,)
    )
    plant.gateway = _one(
        book, "insert into gateway (code, name) values ('line-1', '一号线网关') returning id", ()
    )
    for n in range(1, SIMULATED + REAL + 1):
        simulated = n <= SIMULATED
        device = _one(
            book,
            """insert into device (enterprise, site, gateway, code, name, device_class, industry, kind, protocol,
                equipment, serial_number, manufacturer, origin, connection, endpoint)
            values (%s, (select id from site), %s, %s, %s, %s, 'metallurgy', 'pump', 'modbus',
                'general_power', %s, '远联机械', %s, %s, %s) returning id""",
            (
                enterprise,
                plant.gateway,
                f"P-{n:03d}",
                f"{n}号循环水泵",
                "operating" if n % 2 else "processing",
                f"SN-{n:04d}",
                "simulated" if simulated else "unknown",
                '{"transport": "tcp", "host": "192.0.2.1", "port": 502}',
                f"tcp:192.0.2.1:502/{n}",
            ),
        )
        if not simulated:
            book.execute(
                """insert into attestation (enterprise, device, serial_number, nameplate, nameplate_sha256,
                    attested_by, attested_on)
                values (%s, %s, %s, '\\x00', sha256('\\x00'), '王工', '2026-11-01')""",
                (enterprise, device, f"SN-{n:04d}"),
            )
            book.execute("update device set origin = 'real' where id = %s", (device,))
        for position, (name, label, unit, _) in enumerate(TAGS, 1):
            book.execute(
                """insert into tag (device, position, enterprise, name, label, type, address, unit)
                values (%s, %s, %s, %s, %s, 'float32', '{}', %s)""",
                (device, position, enterprise, name, label, unit),
            )
        plant.devices.append(device)
    # The ledger's history begins with the plant's, not with this test.
    book.execute(
        """insert into device_history (device, enterprise, recorded_at, version, site, gateway, code, name,
            device_class, industry, kind, consumes_energy, interval_s, origin, protocol, endpoint, retired)
        select distinct on (device) device, enterprise, %s, version, site, gateway, code, name, device_class,
            industry, kind, consumes_energy, interval_s, origin, protocol, endpoint, retired
        from device_history order by device, version desc""",
        (plant.began - timedelta(minutes=1),),
    )


def _watch(history: psycopg.Connection[Any], plant: Plant) -> None:
    """Live for two minutes; four minutes that came late; live again, all in one span."""
    now = datetime.now(UTC)
    began, late_from, late_to = (
        plant.began,
        plant.began + timedelta(minutes=2),
        plant.began + timedelta(minutes=6),
    )
    pieces = [
        (began, late_from, began, late_from, True),
        (late_from, late_to, late_to, late_to, False),
        (late_to, now, late_to, now, True),
    ]
    for partition in range(PARTITIONS):
        for valid_from, valid_to, recorded_from, recorded_to, live in pieces:
            number = _one(history, "select nextval('watch_id_seq')", ())
            span = plant.spans.setdefault(partition, number)
            history.execute(
                """insert into watch (id, span, gateway, partition, epoch, valid_from, valid_to, recorded_from,
                    recorded_to, live)
                values (%s, %s, %s, %s, 1, %s, %s, %s, %s, %s)""",
                (
                    number,
                    span,
                    plant.gateway,
                    partition,
                    valid_from,
                    valid_to,
                    recorded_from,
                    recorded_to,
                    live,
                ),
            )
        history.execute(
            "insert into gateway_position (gateway, partition, epoch, sequence, watched_until)"
            " values (%s, %s, 1, 1200, %s)",
            (plant.gateway, partition, now),
        )


def _presence(history: psycopg.Connection[Any], plant: Plant) -> None:
    """All connected from the start; in the last minute one falls offline and one only answers."""
    lately = datetime.now(UTC) - timedelta(minutes=1)
    rows = [(device, plant.began, State.CONNECTED, "value") for device in plant.devices]
    rows.append((plant.devices[OFFLINE - 1], lately, State.OFFLINE, "timeout"))
    rows.append((plant.devices[RESPONDING - 1], lately, State.RESPONDING, "answer"))
    for device, at, state, reason in rows:
        history.execute(
            """insert into presence (device, enterprise, gateway, span, valid_from, state, reason, recorded_at)
            select id, enterprise, gateway, %s, %s, %s, %s, %s from device where id = %s""",
            (plant.spans[device % PARTITIONS], at, int(state), reason, at, device),
        )


def _readings(history: psycopg.Connection[Any], plant: Plant) -> None:
    """A scan every five seconds from each device that is connected."""
    history.execute(
        """insert into scan (device, time, received, value, batch)
        select device, time, time + interval '4 ms', array[1480.5 + 20 * sin(extract(epoch from time) / 60),
            118.25, 41.0], 1
        from unnest(%s::integer[]) as device,
            generate_series(%s::timestamptz, clock_timestamp(), interval '5 seconds') as time
        where device <> %s or time < clock_timestamp() - interval '1 minute'""",
        (plant.devices, plant.began, plant.devices[OFFLINE - 1]),
    )


def _gap(history: psycopg.Connection[Any], plant: Plant) -> None:
    history.execute(
        """insert into gap (gateway, from_time, to_time, reason, recorded_at)
        values (%s, %s, %s, 'gateway-down', %s)""",
        (plant.gateway, plant.began - timedelta(minutes=3), plant.began, plant.began),
    )


class Heartbeat:
    """The gateway goes on watching, and its devices go on sending, until told to fall silent."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat")

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        plant = self._plant
        silent = plant.devices[OFFLINE - 1]
        with psycopg.connect(plant.ingest, autocommit=True) as ingest:
            while not self._stop.wait(BEAT_S):
                now = datetime.now(UTC)
                ingest.execute(
                    "update watch set valid_to = %s, recorded_to = %s where id in"
                    " (select max(id) from watch group by gateway, partition)",
                    (now, now),
                )
                ingest.execute("update gateway_position set watched_until = %s", (now,))
                ingest.execute(
                    "insert into scan (device, time, received, value, batch)"
                    " select device, %s, %s, array[1480.5, 118.25, 41.0], 1"
                    " from unnest(%s::integer[]) as device where device <> %s",
                    (now, now, plant.devices, silent),
                )
