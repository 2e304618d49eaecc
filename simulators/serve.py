"""Standing equipment for a while: endpoints open until told to stop."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol


class Standing(Protocol):
    """Equipment that can be reached between `open` and `close`."""

    async def open(self) -> None:
        """Be reachable. Raises Unavailable when a port is taken."""
        ...

    async def close(self) -> None:
        """End, with every connection."""
        ...


async def serve(
    endpoints: Sequence[Standing],
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
    try:
        for endpoint in endpoints:
            await endpoint.open()
        if work is not None:
            tasks.append(asyncio.create_task(work, name="play"))
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
