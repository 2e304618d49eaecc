"""What stands in the database against what was sent, by the counters in the data and the marks of its batches."""

from dataclasses import dataclass

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.servers import Servers


@dataclass(frozen=True, slots=True)
class Kept:
    """Scans in the database, devices of which every second is there once, and batches in quarantine."""

    scans: int
    whole_devices: int
    quarantined: int


def seconds_kept(around: Servers, seconds: int) -> Kept:
    """Return what is stored of `seconds` scans a device, whose first values count from 1."""
    with psycopg.connect(around.owner) as session:
        row = session.execute(
            "select coalesce(sum(n), 0)::bigint, count(*) filter (where n = %(n)s and least = 1 and most = %(n)s"
            " and total = %(n)s::float8 * (%(n)s + 1) / 2) from (select device, count(*) as n, min(value[1]) as least,"
            " max(value[1]) as most, sum(value[1]) as total from scan group by device) told",
            {"n": seconds},
        ).fetchone()
        bad = session.execute("select count(*) from quarantine").fetchone()
    assert row is not None
    assert bad is not None
    return Kept(int(row[0]), int(row[1]), int(bad[0]))


def stored(around: Servers) -> int:
    """Return how many scans were committed so far."""
    with psycopg.connect(around.owner) as session:
        row = session.execute("select coalesce(sum(scans), 0) from batch").fetchone()
    assert row is not None
    return int(row[0])


def marks(around: Servers) -> NDArray[np.int64]:
    """Return of each batch its gateway, its sequence and when its transaction recorded it (µs since 1970), `(n, 3)`."""
    with psycopg.connect(around.owner) as session:
        rows = session.execute(
            "select gateway, sequence, (extract(epoch from recorded_at) * 1e6)::bigint from batch order by recorded_at"
        ).fetchall()
    return np.array(rows, np.int64).reshape(-1, 3)


def counted_scans(
    around: Servers, from_s: float, to_s: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return device and poll count of every stored scan received between two instants (s since 1970), `(n,)`."""
    with psycopg.connect(around.owner) as session:
        rows = session.execute(
            "select device, value[1] * 65536 + value[2] from scan"
            " where received >= to_timestamp(%s) and received < to_timestamp(%s)",
            (from_s, to_s),
        ).fetchall()
    found = np.array(rows, np.float64).reshape(-1, 2)
    return found[:, 0].astype(np.int32), found[:, 1]


def delays_ms(around: Servers, from_s: float, to_s: float) -> NDArray[np.float64]:
    """Return how long after its receipt each scan of these instants was recorded, `(n,)`."""
    with psycopg.connect(around.owner) as session:
        rows = session.execute(
            "select 1000 * extract(epoch from recorded_at - received)::float8 from scan"
            " join batch on batch.id = scan.batch"
            " where received >= to_timestamp(%s) and received < to_timestamp(%s)",
            (from_s, to_s),
        ).fetchall()
    return np.array(rows, np.float64).ravel()
