"""An edge node, the host that hears it and the device in the gateway's own watch: time is the test's.

Each step happens at its second, and the clock of the equipment may differ. Below it, what may happen to a line.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gateway.adapters.sparkplug.config import understand
from gateway.adapters.sparkplug.crew import Crew
from gateway.adapters.sparkplug.host import EdgeNode
from gateway.adapters.sparkplug.rebirths import RebirthLimit
from gateway.adapters.sparkplug.station import Station
from gateway.adapters.sparkplug.topics import Kind, Node
from gateway.collector import Collector
from gateway.slots import scans_of
from muster.clock import SECOND_US
from muster.device import Device, ReportMode, Tag
from muster.presence import Definition, State
from muster.scans import How, Scans
from muster.sparkplug import DataType, Metric, Numbers, Payload, Reader, encode
from muster.watch import Watch

T = DataType


BEGIN_US = 1_700_000_000 * SECOND_US


WINDOW_S = 10.0


NODE = Node("plant", "line-1")


class Line:
    """An edge node with one device `press`, the host that hears it, and the watch of the device."""

    def __init__(self, *tags: Tag, scope: str | None = "press", interval_s: float = 1.0) -> None:
        self.at_s = 0.0
        self.ahead_s = 0.0
        self.seq = 0
        self.bd_seq = 3
        self.asked: list[float] = []
        self.read: Callable[[bytes], Payload | Numbers] = Reader().read
        self.collector = Collector(1)
        self.collector.begin(BEGIN_US)
        self.watch = Watch(BEGIN_US)
        self.watch.keep(np.array([1], np.int32), np.array([Definition().window_us(interval_s)]))
        connection: dict[str, Any] = {"broker": {"host": "b"}, "group": "plant", "edge_node": "line-1"}
        if scope is not None:
            connection["device"] = scope
        wanted = list(tags) or [
            Tag(1, "t", "float64", {"metric": "T"}),
            Tag(2, "n", "int16", {"metric": "N"}),
        ]
        mode = ReportMode.PERIODIC
        device = Device(1, 1, "d", "d", 1, "sparkplug", connection, mode, interval_s, wanted)
        self.station = Station(device, understand(device), self.collector)
        self.crew = Crew([self.station])
        self.node = EdgeNode(("b", NODE), RebirthLimit(), 2.0)
        self.node.broker_up(0.0, 1.0, False)
        self.scans: list[Scans] = []
        self.events: list[Any] = []

    @property
    def now_us(self) -> int:
        return BEGIN_US + round(self.at_s * SECOND_US)

    @property
    def device_ms(self) -> int:
        return (self.now_us + round(self.ahead_s * SECOND_US)) // 1000

    def wait(self, seconds: float) -> None:
        """Let time pass, as the room's ticks see it."""
        until = self.at_s + seconds
        while self.at_s < until - 1e-9:
            self.at_s = min(until, self.at_s + 0.5)
            self.crew.tell(self.node.tick(self.at_s), self.now_us)
            if self.node.rebirth_due(self.at_s):
                self.asked.append(self.at_s)

    def hear(self, kind: Kind, *metrics: Metric, seq: int | None = None, scope: str | None = "press") -> None:
        """Send a message of the equipment through the codec to the host."""
        self.at_s += 0.001
        payload = Payload(self.device_ms, list(metrics), seq)
        outcomes = self.node.take(
            kind, None if kind[0] == "N" else scope, self.read(encode(payload)), self.now_us, self.at_s
        )
        self.crew.tell(outcomes, self.now_us)

    def next(self) -> int:
        self.seq = (self.seq + 1) % 256
        return self.seq

    def birth(self) -> None:
        """Be born: the node, then the device."""
        self.seq = 0
        self.hear("NBIRTH", Metric("bdSeq", None, T.INT64, self.bd_seq), seq=0)
        self.device_birth()

    def device_birth(self) -> None:
        metrics = [Metric("T", 1, T.DOUBLE, 20.0), Metric("N", 2, T.INT16, -1)]
        self.hear("DBIRTH", *metrics, seq=self.next())

    def data(self, value: object = 21.5, **more: Any) -> None:
        self.hear("DDATA", Metric("", 1, T.DOUBLE, value, **more), seq=self.next())

    def death(self, bd_seq: int | None = None) -> None:
        self.hear("NDEATH", Metric("bdSeq", None, T.INT64, self.bd_seq if bd_seq is None else bd_seq))

    def settle(self) -> Watch:
        slot = self.collector.cut(self.now_us)
        scans = scans_of([slot])
        self.scans.append(scans)
        self.events += slot.events
        self.watch.advance(scans, slot.events, self.now_us)
        return self.watch

    def state(self) -> State:
        return self.settle().state_of(1)

    def after_silence(self, seconds: float = WINDOW_S + 1) -> State:
        later = Watch.from_bytes(self.settle().to_bytes())
        later.advance(Scans.empty(), [], self.now_us + round(seconds * SECOND_US))
        return later.state_of(1)

    def values(self, how: How = How.UNSOLICITED) -> list[float]:
        """Return every value that came so."""
        self.settle()
        whole = Scans.concatenate(self.scans)
        return whole.take(np.flatnonzero(whole.how == how)).value.tolist()

    def reasons(self, kind: str) -> list[str]:
        self.settle()
        return [one.reason for one in self.events if one.kind == kind]


def value(line: Line) -> None:
    line.birth()
    line.data()


def node_death(line: Line) -> None:
    value(line)
    line.death()


def device_death(line: Line) -> None:
    value(line)
    line.wait(12)
    line.hear("DDEATH", seq=line.next())


def wide_gap(line: Line) -> None:
    value(line)
    line.wait(12)
    line.seq += 100
    line.data()


def slow_clock(line: Line) -> None:
    line.ahead_s = -3600
    line.birth()
    for _ in range(4):
        line.wait(1)
        line.data()


def broker_away(line: Line) -> None:
    value(line)
    line.node.broker_down(line.at_s)
    line.station.down("mqtt.broker-away", {}, line.now_us)
    line.wait(12)
    line.node.broker_up(line.at_s, 2.0, True)
