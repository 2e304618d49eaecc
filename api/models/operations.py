"""How the platform itself fares: gateways, gaps, quarantine."""

from typing import Any, Literal

from pydantic import Field

from api.models.base import Answer, Moment, example

_GAP: dict[str, Any] = {
    "id": 4,
    "enterprise": None,
    "gateway": "demo-1",
    "partition": None,
    "device": None,
    "from_time": "2026-11-23T07:12:00.050Z",
    "to_time": "2026-11-23T07:12:04.200Z",
    "reason": "gateway-down",
    "polls": None,
    "detail": {},
    "recorded_at": "2026-11-23T07:12:05Z",
}


class GapAnswer(Answer):
    """What was never acquired or was lost. Without a device: every device of the gateway (and partition)."""

    model_config = example(_GAP)
    id: int
    enterprise: str | None
    gateway: str | None
    partition: int | None
    device: int | None
    from_time: Moment
    to_time: Moment
    reason: str = Field(description="Message key.")
    polls: int | None = Field(description="How many polls it covers, where that is known.")
    detail: dict[str, Any]
    recorded_at: Moment


class GapPage(Answer):
    """One page of gaps, the newest first."""

    model_config = example({"items": [_GAP], "next": None})
    items: list[GapAnswer]
    next: str | None


class PartitionAnswer(Answer):
    """How far one partition of a gateway's stream was stored."""

    partition: int
    epoch: int
    sequence: int
    watched_until: Moment


_GATEWAY: dict[str, Any] = {
    "id": 1,
    "code": "demo-1",
    "name": "演示网关",
    "enterprise": None,
    "lease": "watching",
    "watched_until": "2026-11-23T07:59:59.900Z",
    "last_recorded": "2026-11-23T08:00:00Z",
    "lag_s": 0.1,
    "epoch": 3,
    "devices": 520,
    "member_of": None,
    "pinned": 0,
    "held_since": None,
    "partitions": [
        {"partition": 0, "epoch": 3, "sequence": 8120, "watched_until": "2026-11-23T07:59:59.900Z"}
    ],
    "keys": 1,
}


class GatewayAnswer(Answer):
    """A gateway, and whether it is believed to watch its devices now."""

    model_config = example(_GATEWAY)
    id: int
    code: str
    name: str
    enterprise: str | None = Field(description="Null: run by the operator for several enterprises.")
    lease: Literal["watching", "expired", "stopped", "never"]
    watched_until: Moment | None = Field(description="The last instant it is known to have watched.")
    last_recorded: Moment | None = Field(description="When its newest batch was stored.")
    lag_s: float | None = Field(
        description="Seconds from the instant its newest stored batch reaches to, until it was stored: "
        "what its outbox and the stream held back."
    )
    epoch: int | None
    devices: int = Field(
        description="Devices that it watches; of a gateway of several processes, those it holds."
    )
    member_of: str | None = Field(description="The gateway whose devices this process shares; null: none.")
    pinned: int = Field(description="Devices that no other process takes over.")
    held_since: Moment | None = Field(
        description="When it was last given a device; null: its devices are its own."
    )
    partitions: list[PartitionAnswer]
    keys: int = Field(description="Signing keys in force.")


class GatewayList(Answer):
    """Every gateway the viewer may see."""

    model_config = example({"items": [_GATEWAY]})
    items: list[GatewayAnswer]


_QUARANTINE: dict[str, Any] = {
    "id": 2,
    "enterprise": None,
    "gateway": "demo-1",
    "partition": 1,
    "stream_sequence": 5012,
    "reason": "quarantine.signature",
    "detail": {},
    "bytes": 4812,
    "recorded_at": "2026-11-23T07:30:00Z",
    "replayed_at": None,
}


class QuarantineAnswer(Answer):
    """A message of the stream that was refused, and why."""

    model_config = example(_QUARANTINE)
    id: int
    enterprise: str | None
    gateway: str | None
    partition: int
    stream_sequence: int
    reason: str = Field(description="Message key.")
    detail: dict[str, Any]
    bytes: int
    recorded_at: Moment
    replayed_at: Moment | None


class QuarantinePage(Answer):
    """One page of refused messages, the newest first."""

    model_config = example({"items": [_QUARANTINE], "next": None})
    items: list[QuarantineAnswer]
    next: str | None
