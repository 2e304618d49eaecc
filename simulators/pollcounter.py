"""Equipment that counts its own answers: each read returns how often the unit was read, in registers 0 and 1.

Every answer given is written to a log before it leaves, so that afterwards each can be looked for in the database
or in a listed gap: the equipment's side of "what was sent is stored".
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.modbus.identity import Identity
from simulators.modbus.server import Endpoint
from simulators.modbus.units import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, Refusal, Table, Unit

UNITS_PER_ENDPOINT = 5
REGISTERS = 16


class CountingUnit:
    """One unit; number: of the device, from 1. log: a descriptor to which each answer is appended."""

    def __init__(self, number: int, log: int) -> None:
        self._number = number
        self._log = log
        self._count = 0
        self.identity: Mapping[int, bytes] = Identity(
            "simulated", "sim-counter", "poll counter", "CNT-SIM", f"CNT-{number:04d}"
        ).objects()

    def registers(self, table: Table, start: int, count: int) -> bytes:
        if table is not Table.HOLDING or start + count > REGISTERS:
            raise Refusal(ILLEGAL_ADDRESS)
        if start != 0:
            return bytes(2 * count)
        self._count += 1
        os.write(self._log, b"%d %d %d\n" % (self._number, self._count, time.time_ns() // 1000))
        return (self._count.to_bytes(4, "big") + bytes(2 * REGISTERS))[: 2 * count]

    def bits(self, table: Table, start: int, count: int) -> NDArray[np.uint8]:
        raise Refusal(ILLEGAL_FUNCTION)

    def write_registers(self, start: int, content: bytes) -> None:
        raise Refusal(ILLEGAL_FUNCTION)

    def write_bits(self, start: int, values: NDArray[np.uint8]) -> None:
        raise Refusal(ILLEGAL_FUNCTION)


def endpoints(devices: int, host: str, ports: Sequence[int], log: Path) -> list[Endpoint]:
    """Return the endpoints of `devices` counting units, five behind each port; the log is begun anew."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    units: list[dict[int, Unit]] = [{} for _ in ports]
    for number in range(1, devices + 1):
        place, unit = divmod(number - 1, UNITS_PER_ENDPOINT)
        units[place][unit + 1] = CountingUnit(number, descriptor)
    return [Endpoint(place, host, port, units[place]) for place, port in enumerate(ports)]


def endpoint_count(devices: int) -> int:
    """Return how many ports `devices` need."""
    return -(-devices // UNITS_PER_ENDPOINT)


def book(devices: int, host: str, ports: Sequence[int], gateway: str, interval_s: float) -> dict[str, Any]:
    """Return the device book of the counting units; device number n has the code C-000n."""
    tags: list[dict[str, Any]] = [
        {"name": "count", "type": "uint32", "address": {"table": "holding", "register": 0}}
    ]
    tags += [
        {"name": f"spare_{register}", "type": "uint16", "address": {"table": "holding", "register": register}}
        for register in range(2, REGISTERS)
    ]
    return {
        "enterprises": [{"code": "poll-counters", "name": "轮询计数器", "industry": "other"}],
        "models": [
            {
                "code": "sim-counter",
                "name": "轮询计数器",
                "protocol": "modbus",
                "device_class": "other",
                "kind": "counter",
                "report_mode": "polled",
                "interval_s": interval_s,
                "tags": tags,
            }
        ],
        "devices": [
            {
                "enterprise": "poll-counters",
                "gateway": gateway,
                "model": "sim-counter",
                "code": f"C-{number:04d}",
                "name": f"{number}号计数器",
                "origin": "simulated",
                "connection": {
                    "transport": "tcp",
                    "host": host,
                    "port": ports[(number - 1) // UNITS_PER_ENDPOINT],
                    "unit": (number - 1) % UNITS_PER_ENDPOINT + 1,
                },
            }
            for number in range(1, devices + 1)
        ],
    }


def read_log(log: Path) -> Iterator[tuple[int, int, int]]:
    """Give (device number, count, µs since 1970) of each answer that was given, in order."""
    with log.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                number, count, at_us = line.split()
                yield int(number), int(count), int(at_us)
