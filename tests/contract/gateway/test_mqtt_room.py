"""What the MQTT room promises outside: samples that parse, reasons that can be said."""

import re
from pathlib import Path
from typing import Any

import yaml

import gateway.adapters.mqtt
from gateway.adapter import Room, protocols
from gateway.adapters.mqtt.room import MqttRoom
from gateway.adapters.mqtt.wire import CONNACK_REASONS, DISCONNECT_REASONS
from muster.catalogue import LANGUAGES, texts

FOLDER = Path(gateway.adapters.mqtt.__file__).parent
SAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(sample)
    for sample in re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
]


def test_the_room_is_found_by_looking() -> None:
    described = protocols()["mqtt"]
    assert described.family == "MQTT"
    room: type[Room] = MqttRoom
    assert described.create is room


def test_the_readme_shows_three_transports() -> None:
    shown = {sample["connection"]["broker"].get("transport", "tcp") for sample in SAMPLES}
    assert shown == {"tcp", "tls", "websocket"}


def test_every_reason_of_the_room_can_be_said_in_every_language() -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("*.py")))
    reasons = set(re.findall(r'"(mqtt\.[a-z-]+)"', source))
    reasons |= set(CONNACK_REASONS.values()) | set(DISCONNECT_REASONS.values())
    assert len(reasons) > 25
    for language in LANGUAGES:
        assert reasons <= texts(language).keys()
