"""What thingsboard-gateway talks to over MQTT, as far as it must: says that nothing is limited, and counts telemetry.

Until it was told its session's limits (`getSessionLimits`, protocol of ThingsBoard's gateways) it sends no telemetry.
"""

import json
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

ASKED = "v1/devices/me/rpc/request/"
ANSWER = "v1/devices/me/rpc/response/"
TELEMETRY = "v1/gateway/telemetry"
LIMITS = {
    "maxPayloadSize": 65536,
    "maxInflightMessages": 0,
    "rateLimits": {},
    "gatewayRateLimits": {"rateLimits": {}},
}
"""Empty is without limit."""


class Platform:
    """A client of the broker that stands in for the platform, in a thread of its own. values: received so far."""

    def __init__(self, port: int) -> None:
        self.values = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="bench-platform")
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"{ASKED}+", 1), (TELEMETRY, 1)])
        self._client.loop_start()

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == TELEMETRY:
            self.values += values_in(json.loads(bytes(message.payload)))
            return
        asked = json.loads(bytes(message.payload))
        if asked.get("method") == "getSessionLimits":
            number = message.topic.removeprefix(ASKED)
            self._client.publish(f"{ANSWER}{number}", json.dumps(LIMITS), 1)


def values_in(telemetry: dict[str, list[dict[str, Any]]]) -> int:
    """Return how many values a message holds: entries of several devices, each with a time and its values."""
    return sum(len(entry["values"]) for entries in telemetry.values() for entry in entries)
