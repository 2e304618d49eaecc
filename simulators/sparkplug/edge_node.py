"""An area's edge node: one connection to the broker as a Sparkplug B edge node, whose devices are the area's machines.

    spBv1.0/muster-sim/NBIRTH/<node>             on each connection and on request; NDEATH by the will
    spBv1.0/muster-sim/DBIRTH/<node>/<device>    after it, for each machine
    spBv1.0/muster-sim/DDATA/<node>/<device>     every step: what has changed, by alias, QoS 0
    spBv1.0/muster-sim/DCMD/<node>/<device>      commands; what they set is said at once

It takes the place of a Modbus endpoint in the fleet and has the same faults, as far as they have a meaning here. A
message that a fault spoils takes no number of the sequence, so that the fault is one machine's and not its edge node's.
"""

import asyncio
import math
import random
from collections.abc import Mapping

from muster.clock import SECOND_US, Clock
from muster.errors import Rejected
from muster.sparkplug import DataType, Metric, Payload, decode, encode
from simulators.equipment import Place
from simulators.faults import SHIFTS_S, Fault, FaultKind
from simulators.machines.machine import Machine
from simulators.modbus.identity import Identity
from simulators.mqtt.link import Broker, Link, LinkedEquipment, Will
from simulators.sparkplug.metrics import ALIASES, Speaker, identity

GROUP = "muster-sim"
REBIRTH = "Node Control/Rebirth"
_NAMESPACE = "spBv1.0"
_SILENT = (FaultKind.HALF_OPEN, FaultKind.REFUSE, FaultKind.DEVICE_DEATH)


def node_name(enterprise: str, site: str) -> str:
    """Return the name of an area's edge node, in the group `GROUP`."""
    return f"{enterprise}-{site}"


class EdgeNode(LinkedEquipment):
    """One edge node and its machines, by their place on the endpoint. seed: of what garbage looks like."""

    kinds = frozenset(
        {
            FaultKind.DROP,
            FaultKind.HALF_OPEN,
            FaultKind.SLOW,
            FaultKind.FREEZE,
            FaultKind.GARBAGE,
            FaultKind.SHORT_REPLY,
            FaultKind.EXCEPTION,
            FaultKind.REFUSE,
            FaultKind.HEARTBEAT,
            FaultKind.RETAINED,
            FaultKind.DUPLICATE_CLIENT,
            FaultKind.CLOCK_AHEAD,
            FaultKind.CLOCK_BEHIND,
            FaultKind.REPLAYED,
            FaultKind.BIRTH_STORM,
            FaultKind.DEVICE_DEATH,
        }
    )

    def __init__(
        self,
        number: int,
        name: str,
        itself: Identity,
        broker: Broker,
        machines: Mapping[Place, Machine],
        clock: Clock,
        seed: int,
    ) -> None:
        """itself: what the edge node says that it is."""
        super().__init__(number, broker.port)
        self._name = name
        self._itself = itself
        self._clock = clock
        self._chance = random.Random(seed)
        self._speakers = {
            place: Speaker(machine, 1 + ALIASES * at)
            for at, (place, machine) in enumerate(machines.items(), 1)
        }
        self._seq = 0
        # not that of the run before, whose death may come late
        self._bd_seq = clock.now_us() // SECOND_US % 256
        self._born = False
        self._alive: set[Place] = set()
        self._repeated: dict[Place, list[Metric]] = {}
        self._link = Link(
            f"{GROUP}-{name}",
            broker,
            [self._topic("NCMD"), self._topic("DCMD", "+")],
            self._next_will,
            self._up,
            self._obey,
        )

    async def close(self) -> None:
        """Say that it dies, for a farewell keeps the broker from saying so, and leave."""
        self._link.send(self._topic("NDEATH"), self._death())
        await self._link.leave()

    async def _refuse(self) -> None:
        await self.close()

    def publish(self) -> None:
        """Publish what has changed of every machine, or do what the fault in force says."""
        kind = None if self.fault is None else self.fault.kind
        if kind is FaultKind.DROP:
            self._link.drop()
        if not self._link.ready or kind in (FaultKind.DROP, FaultKind.HALF_OPEN):
            return
        if not self._born or kind is FaultKind.BIRTH_STORM:
            self._be_born()
        for place, speaker in self._speakers.items():
            self._say(place, speaker, self.fault_at(place))

    # Births and deaths.

    def _next_will(self) -> Will:
        """Count the connection that is about to be asked for; work of paho's thread."""
        self._bd_seq = (self._bd_seq + 1) % 256
        return Will(self._topic("NDEATH"), self._death(), retain=False)

    def _death(self) -> bytes:
        return encode(Payload(self._clock.now_us() // 1000, [self._bd_seq_metric()]))

    def _bd_seq_metric(self) -> Metric:
        return Metric("bdSeq", None, DataType.INT64, self._bd_seq, self._clock.now_us() // 1000)

    def _up(self) -> None:
        self._born = False
        if self.fault is None or self.fault.kind not in _SILENT:
            self._be_born()

    def _be_born(self) -> None:
        """Say everything anew: the node, then every machine that is not silent."""
        if not self._link.ready:
            return
        self._born, self._seq = True, 0
        self._alive.clear()
        now_ms = self._now_ms(self.fault)
        said = identity(self._itself.vendor, self._itself.model_name, self._itself.serial_number)
        metrics = [Metric(one.name, at, one.datatype, one.value, now_ms) for at, one in enumerate(said, 1)]
        rebirth = Metric(REBIRTH, None, DataType.BOOLEAN, False, now_ms)
        self._send("NBIRTH", None, [self._bd_seq_metric(), rebirth, *metrics], now_ms)
        for place, speaker in self._speakers.items():
            fault = self.fault_at(place)
            if fault is None or fault.kind not in _SILENT:
                self._begin(place, speaker, self._now_ms(fault))

    def _begin(self, place: Place, speaker: Speaker, now_ms: int) -> None:
        self._alive.add(place)
        self._send("DBIRTH", speaker, speaker.birth(now_ms), now_ms)

    # Data.

    def _say(self, place: Place, speaker: Speaker, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        now_ms = self._now_ms(fault)
        if kind is not FaultKind.REPLAYED:
            self._repeated.pop(place, None)
        if kind is FaultKind.DROP:
            self._link.drop()
        elif kind is FaultKind.DEVICE_DEATH and place in self._alive:
            self._alive.discard(place)
            self._send("DDEATH", speaker, [], now_ms)
        if kind in _SILENT or kind is FaultKind.DROP:
            return
        if place not in self._alive:
            self._begin(place, speaker, now_ms)
        match kind:
            case FaultKind.HEARTBEAT:
                self._send("DDATA", speaker, [], now_ms)
            case FaultKind.EXCEPTION:
                self._send("DDATA", speaker, speaker.nothing(now_ms), now_ms)
            case FaultKind.REPLAYED:
                self._send("DDATA", speaker, self._again(place, speaker, now_ms), now_ms)
            case FaultKind.GARBAGE:
                self._link.send(self._topic("DDATA", speaker.machine.code), self._noise(), qos=0)
            case FaultKind.SHORT_REPLY:
                whole = encode(Payload(now_ms, speaker.news(now_ms), self._seq))
                half = whole[: len(whole) // 2]
                self._link.send(self._topic("DDATA", speaker.machine.code), half, qos=0)
            case FaultKind.SLOW if fault is not None:
                news = speaker.news(now_ms)
                asyncio.get_running_loop().call_later(fault.delay_s, self._send_late, place, speaker, news)
            case _:
                retain = kind is FaultKind.RETAINED
                self._send("DDATA", speaker, speaker.news(now_ms), now_ms, retain=retain)

    def _again(self, place: Place, speaker: Speaker, now_ms: int) -> list[Metric]:
        if place not in self._repeated:
            self._repeated[place] = speaker.news(now_ms)
        return self._repeated[place]

    def _noise(self) -> bytes:
        return self._chance.randbytes(self._chance.randint(4, 64))

    def _send_late(self, place: Place, speaker: Speaker, metrics: list[Metric]) -> None:
        if place in self._alive:
            self._send("DDATA", speaker, metrics, self._now_ms(None))

    def _send(
        self, what: str, speaker: Speaker | None, metrics: list[Metric], now_ms: int, *, retain: bool = False
    ) -> None:
        """Publish the next message of the sequence."""
        topic = self._topic(what, None if speaker is None else speaker.machine.code)
        self._link.send(topic, encode(Payload(now_ms, metrics, self._seq)), qos=0, retain=retain)
        self._seq = (self._seq + 1) % 256

    # Commands.

    def _obey(self, topic: str, command: bytes) -> None:
        self.requests += 1
        try:
            metrics = decode(command).metrics
        except Rejected:
            return
        _, _, what, _, *device = topic.split("/")
        if what == "NCMD":
            asked = any(one.name == REBIRTH and one.value is True for one in metrics)
            if asked and (self.fault is None or self.fault.kind not in _SILENT):
                self._be_born()
            return
        for place, speaker in self._speakers.items():
            fault = self.fault_at(place)
            if [speaker.machine.code] == device and (fault is None or fault.kind not in _SILENT):
                self._set(place, speaker, metrics, self._now_ms(fault))

    def _set(self, place: Place, speaker: Speaker, metrics: list[Metric], now_ms: int) -> None:
        """Set the points that a command names, and say what they hold then."""
        points = []
        for metric in metrics:
            point = speaker.point(metric)
            value = metric.value
            if point is not None and isinstance(value, int | float) and math.isfinite(value):
                speaker.machine.set(point, float(value))
                points.append(point)
        if points and place in self._alive:
            self._send("DDATA", speaker, speaker.told(points, now_ms), now_ms)

    def _now_ms(self, fault: Fault | None) -> int:
        shift_s = 0 if fault is None else SHIFTS_S.get(fault.kind, 0)
        return self._clock.now_us() // 1000 + 1000 * shift_s

    def _topic(self, what: str, device: str | None = None) -> str:
        below = "" if device is None else f"/{device}"
        return f"{_NAMESPACE}/{GROUP}/{what}/{self._name}{below}"
