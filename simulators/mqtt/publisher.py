"""An area's edge computer: one connection to the broker that publishes for all machines of the area.

    muster-sim/<site>/<device>/data     every step, QoS 1
    muster-sim/<site>/<device>/set      commands, answered on …/done
    muster-sim/<site>/status            online, retained; offline by the will

It takes the place of a Modbus endpoint in the fleet and has the same faults, as far as they have a meaning here.
"""

import asyncio
import json
import random
from collections.abc import Mapping

from muster.clock import Clock
from muster.errors import RequestError
from simulators.equipment import Place
from simulators.faults import SHIFTS_S, Fault, FaultKind
from simulators.machines.machine import Machine
from simulators.mqtt.link import Broker, Link, LinkedEquipment, Will

ROOT = "muster-sim"
_OVERSIZE_BYTES = 300_000
_SILENT = (FaultKind.HALF_OPEN, FaultKind.REFUSE, FaultKind.HEARTBEAT)


def topic(site: str, device: str, what: str) -> str:
    """Return one of a device's topics."""
    return f"{ROOT}/{site}/{device}/{what}"


def status_topic(site: str) -> str:
    """Return the topic on which an area says whether it is there."""
    return f"{ROOT}/{site}/status"


class Publisher(LinkedEquipment):
    """One connection and its machines, by their place on the endpoint. seed: of what garbage looks like."""

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
            FaultKind.OVERSIZE,
            FaultKind.DUPLICATE_CLIENT,
            FaultKind.CLOCK_AHEAD,
            FaultKind.CLOCK_BEHIND,
            FaultKind.REPLAYED,
            FaultKind.ODD_TOPIC,
        }
    )

    def __init__(
        self,
        number: int,
        site: str,
        broker: Broker,
        machines: Mapping[Place, Machine],
        clock: Clock,
        seed: int,
    ) -> None:
        super().__init__(number, broker.port)
        self._site = site
        self._machines = machines
        self._clock = clock
        self._chance = random.Random(seed)
        self._repeated: dict[str, bytes] = {}
        self._link = Link(
            f"{ROOT}-{site}",
            broker,
            [topic(site, "+", "set")],
            lambda: Will(status_topic(site), b"offline", retain=True),
            lambda: self._link.send(status_topic(site), b"online", retain=True),
            self._obey,
        )

    async def close(self) -> None:
        """Say that it leaves, and leave."""
        self._link.send(status_topic(self._site), b"offline", retain=True)
        await self._link.leave()

    def publish(self) -> None:
        """Publish what every machine measures now, or do what the fault in force says."""
        now_ms = self._clock.now_us() // 1000
        for place, machine in self._machines.items():
            self._say(machine, now_ms, self.fault_at(place))

    def _say(self, machine: Machine, now_ms: int, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind is not FaultKind.REPLAYED:
            self._repeated.pop(machine.code, None)
        if kind is FaultKind.HEARTBEAT:
            self._link.send(topic(self._site, machine.code, "alive"), b"1")
        if kind in _SILENT or not self._link.wanted:
            return
        if kind is FaultKind.DROP:
            self._link.drop()
            return
        payload = self._payload(machine, now_ms, kind)
        name = topic(self._site, machine.code, "data")
        if kind is FaultKind.SLOW and fault is not None:
            asyncio.get_running_loop().call_later(fault.delay_s, self._link.send, name, payload)
        else:
            self._link.send(name, payload, retain=kind is FaultKind.RETAINED)
        if kind is FaultKind.ODD_TOPIC:
            # QoS 0: a broker that hangs up on it would else be sent it for ever, after the fault as well
            self._link.send(topic(self._site, f"{machine.code} 号机", "data"), payload, qos=0)

    def _payload(self, machine: Machine, now_ms: int, kind: FaultKind | None) -> bytes:
        said = machine.payload(now_ms + 1000 * SHIFTS_S.get(kind, 0))
        if kind is FaultKind.EXCEPTION:
            said["values"] = dict.fromkeys(said["values"])
        if kind is FaultKind.OVERSIZE:
            said["padding"] = "x" * _OVERSIZE_BYTES
        payload = json.dumps(said, ensure_ascii=False).encode()
        match kind:
            case FaultKind.GARBAGE:
                return self._chance.randbytes(self._chance.randint(4, 64))
            case FaultKind.SHORT_REPLY:
                return payload[: len(payload) // 2]
            case FaultKind.REPLAYED:
                return self._repeated.setdefault(machine.code, payload)
            case _:
                return payload

    def _obey(self, name: str, command: bytes) -> None:
        self.requests += 1
        code = name.split("/")[-2]
        machine = next((one for one in self._machines.values() if one.code == code), None)
        if machine is None:
            return
        try:
            answer = machine.obey(command)
        except RequestError as error:
            answer = json.dumps({"error": str(error)}).encode()
        self._link.send(topic(self._site, code, "done"), answer)
