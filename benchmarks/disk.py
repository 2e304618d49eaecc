"""What readings cost on disk."""

import psycopg


def bytes_per_reading(owner: str) -> float:
    """Return the size of `scan` with its indexes ÷ the values it holds; owner: connection string."""
    with psycopg.connect(owner) as session:
        row = session.execute(
            "select (select sum(pg_total_relation_size(relid)) from pg_partition_tree('scan') where isleaf)::float8"
            " / (select sum(array_length(value, 1)) from scan)"
        ).fetchone()
    assert row is not None
    return float(row[0])
