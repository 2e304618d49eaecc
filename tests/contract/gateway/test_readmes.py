"""What every room promises outside, found by looking: right samples in its README, reasons that can be said."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway.adapters
from gateway.adapter import protocols
from muster.catalogue import LANGUAGES, texts
from muster.device import Device, ReportMode, Tag

ROOMS = Path(gateway.adapters.__path__[0])
OWN = {"sparkplug": "mqtt|sparkplug"}
"""Whose reasons a room gives, where they are not only its own: Sparkplug travels by the MQTT room's session."""


def samples(protocol: str) -> list[dict[str, Any]]:
    readme = (ROOMS / protocol / "README.md").read_text("utf-8")
    return [yaml.safe_load(sample) for sample in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)]


SAMPLES = [(protocol, at, sample) for protocol in protocols() for at, sample in enumerate(samples(protocol))]


def test_every_readme_has_a_sample() -> None:
    assert {protocol for protocol, _, _ in SAMPLES} == set(protocols())


@pytest.mark.parametrize(("protocol", "number", "sample"), SAMPLES, ids=lambda part: str(part)[:40])
def test_a_device_of_the_readme_is_a_right_document(
    protocol: str, number: int, sample: dict[str, Any]
) -> None:
    described = protocols()[protocol]
    device = Device(
        number=1,
        version=1,
        code=f"S-{number}",
        name="样例",
        enterprise=1,
        protocol=protocol,
        connection=sample["connection"],
        report_mode=ReportMode.POLLED,
        interval_s=1.0,
        tags=[Tag(**tag) for tag in sample["tags"]],
    )
    if described.check is not None:
        described.check(device)
    assert described.endpoint(described.connection.model_validate(device.connection))
    assert {tag.type for tag in device.tags} <= described.types


@pytest.mark.parametrize("protocol", sorted(protocols()))
def test_every_reason_of_the_room_can_be_said_in_every_language(protocol: str) -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOMS / protocol).glob("*.py")))
    reasons = set(re.findall(rf'"((?:{OWN.get(protocol, protocol)})\.[a-z-]+)"', source))
    assert len(reasons) > 10
    for language in LANGUAGES:
        assert reasons <= texts(language).keys()
