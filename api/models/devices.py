"""Devices as people see them: the ledger's facts, what the device says it is, and its presence."""

from datetime import date
from typing import Any

from pydantic import Field

from api.models.base import Answer, Moment, example
from api.models.words import ClassWord, EquipmentWord, OriginWord, ReportModeWord, StateWord

_SUMMARY: dict[str, Any] = {
    "id": 17,
    "code": "P-017",
    "name": "17号循环水泵",
    "enterprise": "yl-steel",
    "site": "furnace-hall",
    "gateway": "demo-1",
    "device_class": "operating",
    "industry": "metallurgy",
    "kind": "pump",
    "protocol": "modbus",
    "family": "Modbus",
    "origin": "simulated",
    "state": "connected",
    "reason": "value",
    "since": "2026-11-23T06:12:05.250Z",
    "retired": False,
}
_TAG: dict[str, Any] = {
    "position": 1,
    "name": "speed",
    "label": "转速",
    "type": "float32",
    "address": {"table": "holding", "register": 0},
    "unit": "r/min",
    "scale": 1.0,
    "offset": 0.0,
    "writable": False,
    "low": 0.0,
    "high": 3000.0,
    "retired": False,
}


class DeviceSummary(Answer):
    """A device in a list, with its presence now."""

    model_config = example(_SUMMARY)
    id: int
    code: str
    name: str
    enterprise: str
    site: str | None
    gateway: str | None
    device_class: ClassWord
    industry: str
    kind: str
    protocol: str
    family: str
    origin: OriginWord = Field(description="The most pessimistic of what ledger and device say.")
    state: StateWord
    reason: str = Field(description="Message key of what led to the state; may be empty.")
    since: Moment | None
    retired: bool


class DevicePage(Answer):
    """One page of devices."""

    model_config = example({"items": [_SUMMARY], "next": "eyJkIjoxN30"})
    items: list[DeviceSummary]
    next: str | None


class TagAnswer(Answer):
    """One named value of a device; its position is never given to another tag."""

    model_config = example(_TAG)
    position: int
    name: str
    label: str
    type: str
    address: dict[str, Any]
    unit: str
    scale: float
    offset: float
    writable: bool
    low: float | None
    high: float | None
    retired: bool


class IdentityAnswer(Answer):
    """What the device said it is, when it said so."""

    observed_at: Moment
    recorded_at: Moment
    origin: OriginWord | None = Field(
        description="The origin that follows from it; null when it implies none."
    )
    evidence: dict[str, Any]


class ClockAnswer(Answer):
    """How the device's clock, or its server's, differed from its gateway's when that was last measured."""

    measured_at: Moment
    offset_s: float = Field(description="Its clock less the gateway's, in seconds.")
    accuracy_s: float


class AttestationAnswer(Answer):
    """Who says that this is a real machine."""

    serial_number: str
    attested_by: str
    attested_on: date
    recorded_at: Moment
    nameplate_sha256: str


class DeviceDetail(DeviceSummary):
    """Everything the platform holds about a device."""

    model_config = example(
        {
            **_SUMMARY,
            "device_model": "sim-pump",
            "equipment": "general_power",
            "consumes_energy": True,
            "report_mode": "polled",
            "interval_s": 1.0,
            "window_s": 10.0,
            "shift_pattern": None,
            "manufacturer": "Muster Simulators",
            "model": "SP-100",
            "serial_number": "SIM-0017",
            "commissioned_on": None,
            "ledger_origin": "simulated",
            "identity_origin": "simulated",
            "identity": {
                "observed_at": "2026-11-23T06:12:05Z",
                "recorded_at": "2026-11-23T06:12:05.500Z",
                "origin": "simulated",
                "evidence": {"vendor": "Muster Simulators", "product": "pump"},
            },
            "clock": {"measured_at": "2026-11-23T06:12:05Z", "offset_s": -0.2, "accuracy_s": 0.004},
            "attestations": [],
            "connection": {"transport": "tcp", "host": "127.0.0.1", "port": 15020, "unit": 1},
            "endpoint": "tcp:127.0.0.1:15020/1",
            "version": 17,
            "created_at": "2026-11-23T06:12:00Z",
            "retired_at": None,
            "tags": [_TAG],
        }
    )
    device_model: str | None
    equipment: EquipmentWord
    consumes_energy: bool
    report_mode: ReportModeWord
    interval_s: float
    window_s: float = Field(description="The freshness window that follows from the interval, in seconds.")
    shift_pattern: Any | None
    manufacturer: str
    model: str
    serial_number: str
    commissioned_on: date | None
    ledger_origin: OriginWord
    identity_origin: OriginWord | None
    identity: IdentityAnswer | None
    clock: ClockAnswer | None = Field(description="Null where the protocol shows no clock.")
    attestations: list[AttestationAnswer]
    connection: dict[str, Any] = Field(description="As registered; secrets are left out.")
    endpoint: str
    version: int
    created_at: Moment
    retired_at: Moment | None
    tags: list[TagAnswer]


class PresenceInterval(Answer):
    """From `from_time` until `to_time` the device was in one state."""

    state: StateWord
    reason: str = Field(description="Message key of what led to it; may be empty.")
    from_time: Moment
    to_time: Moment
    recorded_at: Moment | None = Field(
        description="When it was written down; null for `unobserved`, which follows from nobody watching."
    )


class PresenceAnswer(Answer):
    """A device's presence between two instants, without holes, as known at a third."""

    model_config = example(
        {
            "device": 17,
            "from_time": "2026-11-23T06:00:00Z",
            "to_time": "2026-11-23T08:00:00Z",
            "as_known_at": "2026-11-23T08:00:00Z",
            "intervals": [
                {
                    "state": "unobserved",
                    "reason": "not-yet-observed",
                    "from_time": "2026-11-23T06:00:00Z",
                    "to_time": "2026-11-23T06:12:05.250Z",
                    "recorded_at": None,
                },
                {
                    "state": "connected",
                    "reason": "value",
                    "from_time": "2026-11-23T06:12:05.250Z",
                    "to_time": "2026-11-23T08:00:00Z",
                    "recorded_at": "2026-11-23T06:12:05.900Z",
                },
            ],
        }
    )
    device: int
    from_time: Moment
    to_time: Moment
    as_known_at: Moment
    intervals: list[PresenceInterval]


class DiagnosticsAnswer(Answer):
    """Counters of a device, as its gateway keeps them since it began to watch it."""

    model_config = example(
        {
            "device": 17,
            "gateway": "demo-1",
            "asked_at": "2026-11-23T08:00:00Z",
            "session": "up",
            "polls": 6480,
            "answers": 6478,
            "errors": {"timeout": 2},
            "last_good": "2026-11-23T07:59:59.500Z",
            "last_error": "timeout",
            "latency_ms_p50": 1.2,
            "latency_ms_p99": 4.8,
            "identity": {"vendor": "Muster Simulators"},
        }
    )
    device: int
    gateway: str
    asked_at: Moment
    session: str
    polls: int
    answers: int
    errors: dict[str, int] = Field(description="Errors by kind (message keys).")
    last_good: Moment | None
    last_error: str
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    identity: dict[str, Any]
