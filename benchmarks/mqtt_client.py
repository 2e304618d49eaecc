"""The limit an MQTT gateway is measured against: bare paho, which acknowledges at once and keeps nothing.

Parses each payload as JSON with the standard library. Prints one JSON line: messages, and the CPU seconds (user and
system) of this process while they came.
"""

import json
import sys
import time

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.mqtt_publisher import EVERY_TOPIC
from benchmarks.samples import own_cpu_s

SETTLE_S = 2.0


def receive(port: int, seconds: int) -> None:
    """Receive for `seconds`."""
    count = 0

    def message(_client: Client, _data: object, message: MQTTMessage) -> None:
        nonlocal count
        json.loads(message.payload)
        count += 1

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-bare")
    client.on_message = message
    client.connect("127.0.0.1", port)
    client.subscribe(EVERY_TOPIC, qos=1)
    client.loop_start()
    time.sleep(SETTLE_S)
    before, count = own_cpu_s(), 0
    time.sleep(seconds)
    print(json.dumps({"messages": count, "cpu_s": own_cpu_s() - before}))
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    receive(*map(int, sys.argv[1:]))
