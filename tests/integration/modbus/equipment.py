"""Equipment made of one function: from a request to the bytes that are sent back, whatever they are."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Reply = Callable[[int, int, bytes], bytes | None]
"""(transaction, unit, request PDU) → bytes to send, None for silence."""


def honest(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Answer a read of holding registers with 7 in each, and refuse everything else."""
    if pdu[0] != 3:
        answer = bytes([pdu[0] | 0x80, 1])
    else:
        count = struct.unpack(">H", pdu[3:5])[0]
        answer = bytes([3, 2 * count]) + struct.pack(">H", 7) * count
    return struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer


@asynccontextmanager
async def equipment(
    reply: Reply, delay_s: float = 0.0, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Serve Modbus TCP frames with what `reply` makes of them; gives the port."""
    open_writers: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                said = reply(transaction, unit, await reader.readexactly(length - 1))
                if delay_s:
                    await asyncio.sleep(delay_s)
                if said == b"":
                    writer.transport.abort()
                    return
                if said is not None:
                    writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(talk, host, port)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in list(open_writers):
            writer.transport.abort()
        server.close()
        await asyncio.sleep(0)


def frame(transaction: int, unit: int, answer: bytes, protocol: int = 0) -> bytes:
    return struct.pack(">HHHB", transaction, protocol, len(answer) + 1, unit) + answer
