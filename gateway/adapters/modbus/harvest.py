"""The answers that one turn of the event loop brings, kept until it has read all its sockets, then put at once.

Devices of one layout are decoded together as rows (`rows.py`), so what a scan costs is mostly numpy's few calls divided
by how many came. Nothing waits for it: the answers are put as soon as no line waits for another, and at the latest
before the loop looks at its sockets again; they are stamped then.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gateway.adapter import Sink
from gateway.adapters.modbus.decode import Decoder
from gateway.adapters.modbus.rows import Rows
from muster.clock import Clock
from muster.scans import How

if TYPE_CHECKING:
    from gateway.adapters.modbus.station import Station

_FEW = 4
"""Fewer answers than this are decoded each on its own: 2.3 µs for 16 registers, as rows 4.2 divided by their number."""


class Harvest:
    """What came and is not yet put.

    failed: told of an error, which only a mistake here can make. now: the loop's time in seconds, one object for all
    lines, since each would be fetched from memory once for each poll.
    """

    def __init__(self, sink: Sink, clock: Clock, failed: Callable[[Exception], None]) -> None:
        self._sink = sink
        self._clock = clock
        self._failed = failed
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self._call_soon = loop.call_soon
        self._came: dict[Decoder, tuple[list[Station], list[bytes]]] = {}

    def add(self, station: "Station", decoder: Decoder, answer: bytes) -> None:
        """Take a whole answer of a device of which nothing else is to be said."""
        came = self._came.get(decoder)
        if came is None:
            if not self._came:
                self._call_soon(self._settle_soon)
            came = self._came[decoder] = ([], [])
        came[0].append(station)
        came[1].append(answer)

    def settle(self) -> None:
        """Put what came."""
        if not self._came:
            return
        harvest, self._came = self._came, {}
        now_us = self._clock.now_us()
        for decoder, (stations, answers) in harvest.items():
            if decoder.rows is not None and len(answers) >= _FEW:
                self._put(decoder.rows, decoder.first, stations, answers, now_us)
            else:
                for station, answer in zip(stations, answers, strict=True):
                    station.tell(answer, now_us)

    def lull(self) -> None:
        """Put what came, and say that no line waits for another answer."""
        self.settle()
        self._sink.lull()

    def _put(
        self, rows: Rows, first: int, stations: "list[Station]", answers: list[bytes], now_us: int
    ) -> None:
        value, odd = rows.decode(answers)
        if odd is not None:
            for at in np.flatnonzero(odd).tolist():
                stations[at].tell(answers[at], now_us)
            plain = np.flatnonzero(~odd)
            value, stations = value[plain], [stations[at] for at in plain.tolist()]
        self._sink.rows([one.number for one in stations], now_us, now_us, first, value, How.SOLICITED)
        for station in stations:
            station.last_good = now_us

    def _settle_soon(self) -> None:
        try:
            self.settle()
        except Exception as error:  # noqa: BLE001 - raised where the room is awaited
            self._failed(error)
