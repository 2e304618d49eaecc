"""The limit an MQTT gateway is measured against: bare paho, which acknowledges at once and keeps nothing.

Parses each payload as JSON with the standard library, or as Sparkplug's protobuf. Prints one JSON line: messages, and
the CPU seconds (user and system) of this process while they came.
"""

import json
import sys
import time
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.mqtt_publisher import EVERY_TOPIC
from benchmarks.samples import own_cpu_s
from benchmarks.sparkplug_node import GROUP
from muster.sparkplug import schema

SETTLE_S = 2.0
_payload = schema.message("Payload").FromString


def _json(payload: bytes) -> int:
    json.loads(payload)
    return 1


def _sparkplug(payload: bytes) -> int:
    _payload(payload)
    return 1


READ: dict[str, tuple[str, Callable[[bytes], int]]] = {
    "json": (EVERY_TOPIC, _json),
    "sparkplug": (f"spBv1.0/{GROUP}/DDATA/#", _sparkplug),
}


def receive(port: int, seconds: int, kind: str) -> None:
    """Receive for `seconds`; kind: one of `READ`."""
    count = 0
    topic, parse = READ[kind]

    def message(_client: Client, _data: object, message: MQTTMessage) -> None:
        nonlocal count
        count += parse(bytes(message.payload))

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-bare")
    client.on_message = message
    client.connect("127.0.0.1", port)
    client.subscribe(topic, qos=1)
    client.loop_start()
    time.sleep(SETTLE_S)
    before, count = own_cpu_s(), 0
    time.sleep(seconds)
    print(json.dumps({"messages": count, "cpu_s": own_cpu_s() - before}))
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    receive(int(sys.argv[1]), int(sys.argv[2]), *(sys.argv[3:] or ["json"]))
