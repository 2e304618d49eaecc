"""Edge nodes for the Sparkplug benchmark: births, and then DATA of ten metrics by alias at a steady rate.

One MQTT connection for each edge node; deaths by its will, births again when a host asks for them. Devices say that
they are simulated. Runs as a process of its own until killed; says `ready` when every edge node is born.
"""

import sys
import time

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from muster.sparkplug import DataType, Metric, Payload, decode, encode
from simulators.sparkplug.metrics import identity

GROUP = "bench"
METRICS = 10
DEVICES_OF_A_NODE = 20
SLOT_S = 0.02
_REBIRTH = "Node Control/Rebirth"
_ALIASES = 100


def node_name(number: int) -> str:
    """Return the name of an edge node."""
    return f"n{number}"


def metric_name(number: int) -> str:
    """Return the name of a metric."""
    return f"Process/m{number}"


class Node:
    """One edge node with its devices, numbered from 0 over all nodes."""

    def __init__(self, number: int, devices: range, port: int) -> None:
        self._name, self._devices, self._seq = node_name(number), devices, 0
        self.born, self._wanted = False, True
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{self._name}")
        self._client.will_set(self._topic("NDEATH"), encode(Payload(_now_ms(), [_bd_seq()])), qos=1)
        self._client.on_message = self._asked
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(self._topic("NCMD"), qos=1)
        self._client.loop_start()

    def say(self, device: int, count: int) -> None:
        """Publish ten new values of a device; births first where they are wanted."""
        now_ms = _now_ms()
        if self._wanted:
            self._wanted = False
            self._be_born(now_ms)
        self._send(
            "DDATA", device, [_metric(device, at, now_ms, count, named=False) for at in range(METRICS)]
        )

    def _be_born(self, now_ms: int) -> None:
        self._seq = 0
        self._send("NBIRTH", None, [_bd_seq(), Metric(_REBIRTH, None, DataType.BOOLEAN, False, now_ms)])
        said = identity("simulated", "bench", self._name)
        for device in self._devices:
            values = [_metric(device, at, now_ms, 0, named=True) for at in range(METRICS)]
            self._send("DBIRTH", device, said + values)
        self.born = True

    def _asked(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._wanted |= any(one.name == _REBIRTH for one in decode(bytes(message.payload)).metrics)

    def _send(self, kind: str, device: int | None, metrics: list[Metric]) -> None:
        body = encode(Payload(_now_ms(), metrics, self._seq))
        self._seq = (self._seq + 1) % 256
        self._client.publish(self._topic(kind, device), body, qos=0)

    def _topic(self, kind: str, device: int | None = None) -> str:
        whole = f"spBv1.0/{GROUP}/{kind}/{self._name}"
        return whole if device is None else f"{whole}/d{device}"


def _metric(device: int, at: int, now_ms: int, count: int, *, named: bool) -> Metric:
    name = metric_name(at) if named else ""
    alias = 1 + device % DEVICES_OF_A_NODE * _ALIASES + at
    return Metric(name, alias, DataType.DOUBLE, count + device * 0.1 + at * 1.7, now_ms)


def _bd_seq() -> Metric:
    return Metric("bdSeq", None, DataType.INT64, 0, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def publish(devices: int, rate: int, port: int) -> None:
    """Publish `rate` DATA messages a second, spread evenly over the devices."""
    nodes = [
        Node(number, range(first, min(first + DEVICES_OF_A_NODE, devices)), port)
        for number, first in enumerate(range(0, devices, DEVICES_OF_A_NODE))
    ]
    print("ready", flush=True)
    begin, sent, slot = time.monotonic(), 0, 0
    while True:
        slot += 1
        time.sleep(max(0.0, begin + slot * SLOT_S - time.monotonic()))
        until = round(rate * slot * SLOT_S)
        for number in range(sent, until):
            device = number % devices
            nodes[device // DEVICES_OF_A_NODE].say(device, number // devices)
        sent = until


if __name__ == "__main__":
    publish(*map(int, sys.argv[1:]))
