"""The limits a Modbus gateway is measured against: a bare BufferedProtocol client, and bare pymodbus.

Each polls N devices for R holding registers once a second in 50 ms slots, keeps nothing, and prints one JSON
line: polls, and the CPU seconds (user and system) of this process between the first and the last poll.
"""

import asyncio
import json
import struct
import sys
from typing import cast

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.modbus_server import host
from benchmarks.samples import own_cpu_s

SLOTS = 20


class Poller(asyncio.BufferedProtocol):
    """The least that reads a device: one request out, one reply in."""

    def __init__(self, registers: int) -> None:
        self._buffer = memoryview(bytearray(512))
        self._filled = 0
        self._length = 9 + 2 * registers
        self._request = bytearray(struct.pack(">HHHBBHH", 0, 0, 6, 1, 3, 0, registers))
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def poll(self) -> None:
        self._transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled >= self._length:
            self._filled = 0
            self.answers += 1


async def bare(devices: int, registers: int, port: int, seconds: int) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    pollers = [
        (await loop.create_connection(lambda: Poller(registers), host(number), port))[1]
        for number in range(devices)
    ]
    begin = loop.time() + 0.1
    before = own_cpu_s()
    for slot in range(seconds * SLOTS):
        await asyncio.sleep(begin + slot / SLOTS - loop.time())
        for poller in pollers[slot % SLOTS :: SLOTS]:
            poller.poll()
    await asyncio.sleep(0.2)
    return sum(poller.answers for poller in pollers), own_cpu_s() - before


async def library(devices: int, registers: int, port: int, seconds: int) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    clients = [AsyncModbusTcpClient(host(number), port=port) for number in range(devices)]
    for client in clients:
        await client.connect()
    answers = 0

    async def poll(client: AsyncModbusTcpClient) -> None:
        nonlocal answers
        reply = await client.read_holding_registers(0, count=registers, device_id=1)
        answers += not reply.isError()

    begin = loop.time() + 0.1
    before = own_cpu_s()
    for slot in range(seconds * SLOTS):
        await asyncio.sleep(max(0.0, begin + slot / SLOTS - loop.time()))
        await asyncio.gather(*(poll(client) for client in clients[slot % SLOTS :: SLOTS]))
    used = own_cpu_s() - before
    for client in clients:
        client.close()
    return answers, used


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    polls, used_s = asyncio.run({"bare": bare, "pymodbus": library}[kind](*map(int, numbers)))
    print(json.dumps({"polls": polls, "cpu_s": used_s}))
