"""A recording published over MQTT: a JSON message for each row, with the time of now and the file's values.

muster-replay/<name>/data      QoS 1; a cell without a number is null
muster-replay/<name>/status    online, retained; offline by the will
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from muster.clock import Clock
from simulators.mqtt.link import Broker, Link, Will
from simulators.replays.player import ROW, Player, identity
from simulators.replays.recording import Recording

_ROOT = "muster-replay"


class MqttPlayer(Player):
    """Publishes a recording. heard_at: the broker as a gateway reaches it, in a device's document."""

    protocol, report_mode = "mqtt", "periodic"

    def __init__(
        self, recording: Recording, broker: Broker, heard_at: Mapping[str, Any], clock: Clock
    ) -> None:
        super().__init__(recording)
        self._heard_at, self._clock = dict(heard_at), clock
        place = re.sub(r"[^0-9A-Za-z_-]", "-", recording.name)  # NATS bears no blanks in topics
        self._data, self._status = f"{_ROOT}/{place}/data", f"{_ROOT}/{place}/status"
        self._device = identity(recording).facts
        will = Will(self._status, b"offline", retain=True)
        self._link = Link(
            f"{_ROOT}-{place}", broker, [f"{_ROOT}/{place}/set"], lambda: will, self._up, _unheard
        )

    def _up(self) -> None:
        self._link.send(self._status, b"online", retain=True)

    async def open(self) -> None:
        """Connect as soon as the broker answers."""
        self._link.open()

    async def close(self) -> None:
        """Say that it leaves, and leave."""
        self._link.send(self._status, b"offline", retain=True)
        await self._link.leave()

    async def show(self, row: int) -> None:
        """Publish this row; while the broker is away, it is lost."""
        cells = self.recording.rows[row].tolist()
        values = {
            name: value if math.isfinite(value) else None
            for name, value in zip(self.recording.columns, cells, strict=True)
        }
        said = {
            "ts": self._clock.now_us() // 1000,
            "values": {ROW: row + 1, **values},
            "device": self._device,
        }
        self._link.send(self._data, json.dumps(said, ensure_ascii=False).encode())

    def connection(self) -> dict[str, Any]:
        """Return broker, topics, and where time and identity stand."""
        return {
            "broker": self._heard_at,
            "topic": self._data,
            "qos": 1,
            "payload": {"timestamp": {"path": "$.ts", "unit": "ms"}},
            "status": {"topic": self._status},
            "identity": {fact: f"$.device.{fact}" for fact in self._device},
        }

    def tag(self, name: str, at: int) -> dict[str, Any]:
        """Return the path of a column."""
        path = f"$.values[{json.dumps(name, ensure_ascii=False)}]"
        return {"type": "uint32" if at < 0 else "float64", "address": {"path": path}}


def _unheard(_topic: str, _payload: bytes) -> None:
    """A replay obeys nobody."""
