"""Standing equipment for a while: endpoints open until told to stop."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any

from simulators.modbus.server import Endpoint


async def serve(
    endpoints: Sequence[Endpoint],
    work: Coroutine[Any, Any, None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Listen until `stop` is set, or without one until SIGINT or SIGTERM, with `work` beside.

    Raises:
        Unavailable: a port is taken. What `work` raises ends it too.
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    tasks: list[asyncio.Task[Any]] = [stopping]
    if work is not None:
        tasks.append(asyncio.create_task(work, name="play"))
    try:
        for endpoint in endpoints:
            await endpoint.open()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in endpoints:
            await endpoint.close()
