"""What readings cost on disk."""

from typing import Any

import psycopg

_READINGS = "select sum(array_length(value, 1)) from scan"
_ROWS = "select sum(pg_total_relation_size(relid)) from pg_partition_tree('scan') where isleaf"
_CHUNKS = "select hypertable_size('scan')"
_INTO_COLUMNS = "select compress_chunk(chunk, if_not_compressed => true) from show_chunks('scan') chunk"


def in_chunks(session: psycopg.Connection[Any]) -> bool:
    """Whether scans are a hypertable of TimescaleDB."""
    row = session.execute("select relkind = 'r' from pg_class where oid = 'scan'::regclass").fetchone()
    return row == (True,)


def bytes_per_reading(owner: str) -> dict[str, float]:
    """Return the size of `scan` with its indexes ÷ the values it holds; owner: connection string.

    On TimescaleDB also after every chunk was turned into columns, where its edition has them.
    """
    with psycopg.connect(owner, autocommit=True) as session:
        if not in_chunks(session):
            return {"bytes_per_reading": _share(session, _ROWS)}
        found = {"bytes_per_reading": _share(session, _CHUNKS)}
        if session.execute("show timescaledb.license").fetchone() == ("timescale",):
            session.execute(_INTO_COLUMNS)
            found["bytes_per_reading_in_columns"] = _share(session, _CHUNKS)
        return found


def _share(session: psycopg.Connection[Any], size: str) -> float:
    row = session.execute(f"select ({size})::float8 / ({_READINGS})".encode()).fetchone()
    assert row is not None
    return float(row[0])
