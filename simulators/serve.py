"""Standing equipment for a while: endpoints open until told to stop."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any

from simulators.modbus.server import Endpoint


async def serve(endpoints: Sequence[Endpoint], work: Coroutine[Any, Any, None] | None = None) -> None:
    """Listen until SIGINT or SIGTERM, with `work` beside.

    Raises:
        Unavailable: a port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    for endpoint in endpoints:
        await endpoint.open()
    working = None if work is None else asyncio.create_task(work, name="play")
    try:
        await stop.wait()
    finally:
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        for endpoint in endpoints:
            await endpoint.close()
