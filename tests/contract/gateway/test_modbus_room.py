"""What the Modbus room promises outside: samples that parse, reasons that can be said, a contract that is kept."""

import re
from pathlib import Path
from typing import Any

import yaml

import gateway.adapters.modbus
from gateway.adapter import Room, protocols
from gateway.adapters.modbus.pdu import EXCEPTIONS
from gateway.adapters.modbus.room import ModbusRoom
from muster.catalogue import LANGUAGES, texts

FOLDER = Path(gateway.adapters.modbus.__file__).parent
SAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(sample)
    for sample in re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
]


def test_the_room_is_found_by_looking() -> None:
    described = protocols()["modbus"]
    assert described.family == "Modbus"
    assert described.create is ModbusRoom
    room: type[Room] = ModbusRoom
    assert room.__name__ == "ModbusRoom"


def test_the_readme_shows_every_transport_but_the_tunnel() -> None:
    assert {sample["connection"]["transport"] for sample in SAMPLES} == {"tcp", "rtu", "tls"}


def test_every_reason_of_the_room_can_be_said_in_every_language() -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("*.py")))
    reasons = set(re.findall(r'"(modbus\.[a-z-]+)"', source)) | set(EXCEPTIONS.values())
    reasons |= {"gateway-late", "gateway-stopped", "configuration-wrong"}
    assert len(reasons) > 30
    for language in LANGUAGES:
        assert reasons <= texts(language).keys()
