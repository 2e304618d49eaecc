"""A Modbus TCP server as cheap as Python makes one: the equipment's side of the polling benchmarks.

Each device has a loopback address of its own, 127.1.x.y, on one port; registers 0 and 1 hold how often it was
read, the rest their own number. It answers function 3 only. Run as a process of its own, so that its CPU is
not the client's.
"""

import asyncio
import struct
import sys
from typing import cast

import uvloop


class Equipment(asyncio.BufferedProtocol):
    """One client's connection to one device."""

    def __init__(self) -> None:
        self._buffer = bytearray(4096)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._reads = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        while self._filled >= 12:
            transaction, _, _, unit, function, start, count = struct.unpack_from(">HHHBBHH", self._buffer)
            assert function == 3, function
            self._reads += 1
            registers = [*struct.unpack(">HH", struct.pack(">I", self._reads)), *range(2, 125)]
            wanted = registers[start : start + count]
            self._transport.write(
                struct.pack(
                    f">HHHBBB{count}H", transaction, 0, 3 + 2 * count, unit, function, 2 * count, *wanted
                )
            )
            rest = self._filled - 12
            self._buffer[:rest] = self._buffer[12 : self._filled]
            self._filled = rest


def host(number: int) -> str:
    """Return the loopback address of a device."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def serve(devices: int, port: int) -> None:
    hosts = [host(number) for number in range(devices)]
    server = await asyncio.get_running_loop().create_server(Equipment, hosts, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*map(int, sys.argv[1:])))
