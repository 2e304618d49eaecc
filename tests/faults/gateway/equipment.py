"""Counting equipment: answers each poll with how many it has answered, and remembers when."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time_ns

import msgspec

from muster.device import Device, ReportMode, Tag
from tests.faults.answers import Answer


@dataclass
class Equipment:
    """Every device behind one port; `given` lists every answer."""

    port: int = 0
    given: list[Answer] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    sessions: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions.add(writer)
        try:
            while line := await reader.readline():
                device = int(line)
                self.counts[device] += 1
                self.given.append(Answer(device, self.counts[device], time_ns() // 1000))
                writer.write(b"%d\n" % self.counts[device])
        except OSError:
            pass
        finally:
            self.sessions.discard(writer)
            writer.close()

    def document(self, number: int, version: int = 1, interval_s: float = 0.05) -> bytes:
        """The document of one of its devices."""
        tags = [Tag(1, "count", "float64", {}), Tag(2, "seven", "float64", {}, writable=True)]
        return msgspec.json.encode(
            Device(
                number,
                version,
                f"C-{number}",
                f"counter {number}",
                1,
                "counting",
                {"port": self.port},
                ReportMode.POLLED,
                interval_s,
                tags,
            )
        )


@asynccontextmanager
async def equipment() -> AsyncIterator[Equipment]:
    """Serve equipment on a free port for the block."""
    made = Equipment()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
        for session in list(made.sessions):
            session.close()
