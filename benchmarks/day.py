"""What a day of the demo's data costs on disk: its simulated machines' values, in the product's own table.

The machines of the demo's 520 devices run through a day. Every four hours their values are read for some time once a
second, as a gateway reads their registers, and copied into `scan` as ingest copies them; in between time passes in
steps of a minute. On TimescaleDB with a columnstore, 1,000 scans of a device make a batch of columns, so shorter
stretches flatter nobody: what is compressed together becomes less.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.disk import bytes_per_reading
from benchmarks.servers import servers
from bus.subjects import PARTITIONS
from ingest.copying import scan_rows
from ingest.registry import QUERIES
from muster.clock import SECOND_US, ManualClock, to_us
from muster.scans import How, Scans
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from store.binary import HEADER, TRAILER

DEVICES, SEED = 520, 7
EVERY_H = 4
SEALS_PER_S = 2
"""As many batches of each partition a gateway makes."""
_MINUTE_S = 60.0
_LOCAL_OFFSET_H = 8


def measure(seconds: int) -> dict[str, Any]:
    """Return bytes per reading with `seconds` of every four hours, and how many readings that were."""
    readings = 0
    with servers() as around:
        with psycopg.connect(around.owner, autocommit=True) as session:
            for scans, batch in day(seconds):
                readings += scans.readings
                with session.cursor() as cursor, cursor.copy(QUERIES["copy_scan"]) as copy:
                    for piece in (HEADER, *scan_rows(scans, batch), TRAILER):
                        copy.write(piece)
        return {"readings": readings, **bytes_per_reading(around.owner)}


def day(seconds: int, devices: int = DEVICES) -> Iterator[tuple[Scans, NDArray[np.int64]]]:
    """Give the scans of every device, ten seconds at a time, with the batch of each scan."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    clock = ManualClock(to_us(midnight - timedelta(hours=_LOCAL_OFFSET_H)))
    ports = [0] * endpoint_count(devices)
    fleet = Fleet(lay_out(devices, SEED), "127.0.0.1", ports, SEED, clock)
    chance = np.random.default_rng(SEED)
    phase = chance.integers(0, SECOND_US, devices)
    for hour in range(0, 24, EVERY_H):
        until = to_us(midnight + timedelta(hours=hour - _LOCAL_OFFSET_H))
        while clock.now_us() < until:
            clock.advance(_MINUTE_S)
            fleet.step(_MINUTE_S)
        parts: list[Scans] = []
        for second in range(1, seconds + 1):
            clock.advance(1.0)
            fleet.step(1.0)
            parts += _read(fleet, clock.now_us(), phase, chance)
            if second % 10 == 0 or second == seconds:
                scans = Scans.concatenate(parts)
                seal = scans.received // (SECOND_US // SEALS_PER_S)
                yield scans, seal * PARTITIONS + scans.device % PARTITIONS
                parts.clear()


def _read(
    fleet: Fleet, now_us: int, phase: NDArray[np.int64], chance: np.random.Generator
) -> Iterator[Scans]:
    """Give a scan of each device, kind after kind, read at its phase of the second and answered soon after."""
    for index, values in fleet.shown():
        count, tags = values.shape
        time = now_us + phase[index] + chance.integers(0, 3_000, count)
        yield Scans(
            (index + 1).astype(np.int32),
            time,
            time + chance.integers(300, 2_500, count),
            np.ones(count, np.int32),
            np.full(count, How.SOLICITED, np.uint8),
            np.arange(count + 1, dtype=np.int32) * tags,
            values.ravel(),
            None,
        )
