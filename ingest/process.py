"""The ingest process: one worker between the bus and the database."""

import asyncio

from bus.connection import connect_patiently
from bus.monitor import monitor
from ingest import heap
from ingest.settings import Settings
from ingest.worker import Worker
from muster.clock import SystemClock


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Store what comes until `stop`.

    Raises:
        ConfigError: the bus or the database refuses this process; trying again cannot help.
    """
    heap.prepare()
    client = await connect_patiently(settings.bus, f"ingest {settings.worker}", stop)
    if client is None:
        return
    try:
        worker = Worker(settings, client, SystemClock())
        async with monitor(settings.monitor_port, {"ingest": worker.health}):
            await worker.run(stop)
    finally:
        await client.close()
