"""The keeper's work on the database alone: partitions ahead, roll-ups, checkpoints, disk budget. A process of its own.

The keeper itself would publish device documents, too, and the benchmarks tell gateways theirs.
"""

import asyncio
import signal
import sys
from pathlib import Path

from muster.clock import SystemClock
from store.housekeeping import Housekeeping

BUDGET_BYTES = 2**40
PARTITION_MINUTES = 60


async def keep(owner: str) -> None:
    """Work as the database's owner until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Housekeeping(owner, BUDGET_BYTES, PARTITION_MINUTES, SystemClock()).run(stop)


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]).read_text("utf-8")))
