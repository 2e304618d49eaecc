"""All that a test recorded, held against its digests as if every minute were over."""

from datetime import timedelta

from psycopg import AsyncConnection

from evidence.fsck import MINUTE, Digested, Report, examine


async def examined(owner: str) -> Report:
    """Return what became of everything from the earliest source time or minute on."""
    async with await AsyncConnection.connect(owner, autocommit=True, options="-c timezone=UTC") as connection:
        cursor = await connection.execute(
            "select least(min(minute), (select min(time) from any_scan)), max(minute) from device_minutes"
        )
        ((first, last),) = await cursor.fetchall()
        since = max(first, last - timedelta(hours=3)).replace(second=0, microsecond=0)
        digested = Digested(since, last + MINUTE)
        return await examine(connection, since, last + MINUTE, digested)
