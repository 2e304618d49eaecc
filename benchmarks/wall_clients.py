"""Many viewers of the live stream in one process, and the one who changes what they see.

Started as `python -m benchmarks.wall_clients PORT VIEWERS CHANGES` with the database's address on stdin. Every change
is one device that falls from `connected` to `linked`, told to the database in a transaction of its own; prints as JSON
how long after its commit each viewer had it, in ms.
"""

import asyncio
import json
import re
import sys
import time

import psycopg

from store.queries import load

SQL = load("benchmarks", "wall.sql")
_CHANGED = re.compile(rb'\[(\d+),"linked"')
_BETWEEN_S = 0.7
_PATIENCE_S = 20.0


class Viewer:
    """One connection to the live stream. seen: by device, when it was first told as fallen, on time.monotonic()."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        self.started = asyncio.Event()

    async def follow(self, port: int) -> None:
        """Read until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        try:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    now = time.monotonic()
                    self.started.set()
                    for device in _CHANGED.findall(line):
                        self.seen.setdefault(int(device), now)
        finally:
            writer.close()


async def measure(port: int, viewers: int, changes: int, owner: str) -> list[float]:
    """Return the delays of all changes at all viewers, in ms.

    Raises:
        RuntimeError: a viewer was not told of a change.
    """
    looking = [Viewer() for _ in range(viewers)]
    following = [asyncio.create_task(viewer.follow(port)) for viewer in looking]
    for viewer in looking:
        await asyncio.wait_for(viewer.started.wait(), _PATIENCE_S)
    committed: dict[int, float] = {}
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as session:
        for device in range(1, changes + 1):
            await session.execute(SQL["fall"], {"device": device})
            committed[device] = time.monotonic()
            await asyncio.sleep(_BETWEEN_S)
    end = time.monotonic() + _PATIENCE_S
    while any(len(viewer.seen) < changes for viewer in looking):
        if time.monotonic() > end or any(task.done() for task in following):
            raise RuntimeError("a viewer was not told of a change")
        await asyncio.sleep(0.05)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    return [1000 * (viewer.seen[device] - at) for viewer in looking for device, at in committed.items()]


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:4]]
    print(json.dumps(asyncio.run(measure(given[0], given[1], given[2], sys.stdin.read()))))
