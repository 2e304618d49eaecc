"""What the live stream carries: the data of its `count` and `states` events."""

from pydantic import Field

from api.models.base import Answer, Moment, example
from api.models.counts import DefinitionAnswer, FrameAnswer
from api.models.words import ClassWord, OriginWord, StateWord


class LiveWindow(Answer):
    """The last hour's count, refreshed every few seconds."""

    min: int
    median: float
    p5: float
    observed_share: float


class LiveScope(Answer):
    """A scope of the live count: as in /counts/devices, without the list of devices not counted."""

    marked: bool
    connected: int
    by_state: dict[StateWord, int]
    by_protocol: dict[str, int]
    by_class: dict[ClassWord, int]
    by_enterprise: dict[str, int]
    by_industry: dict[str, int]
    by_origin: dict[OriginWord, int]
    excluded_total: int
    excluded_by_reason: dict[str, int] = Field(description="By message key of the first reason.")
    window: LiveWindow | None = Field(description="Null until first computed.")


_LIVE_SCOPE = {
    "marked": True,
    "connected": 519,
    "by_state": {"unobserved": 0, "offline": 1, "linked": 0, "responding": 0, "connected": 519},
    "by_protocol": {"Modbus": 519},
    "by_class": {"operating": 240, "processing": 210, "mobile": 39, "other": 30},
    "by_enterprise": {"yl-steel": 319, "yl-pharma": 200},
    "by_industry": {"metallurgy": 319, "pharmaceuticals": 200},
    "by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 519},
    "excluded_total": 1,
    "excluded_by_reason": {"excluded.offline": 1},
    "window": {"min": 517, "median": 520.0, "p5": 518.0, "observed_share": 1.0},
}


class LiveCount(Answer):
    """Data of a `count` event, one each second."""

    model_config = example(
        {
            "at": "2026-11-23T08:00:00Z",
            "definition": {
                "version": "presence-1",
                "factor": 3.0,
                "least_s": 10.0,
                "cap_s": 3600.0,
                "lease_s": 10.0,
            },
            "frame": {
                "devices": 520,
                "by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 520},
                "connected_by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 519},
            },
            "official": {
                **_LIVE_SCOPE,
                "marked": False,
                "connected": 0,
                "by_protocol": {},
                "by_class": {"operating": 0, "processing": 0, "mobile": 0, "other": 0},
                "by_enterprise": {},
                "by_industry": {},
                "by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 0},
                "excluded_total": 520,
                "excluded_by_reason": {"excluded.origin-simulated": 519, "excluded.offline": 1},
            },
            "rehearsal": _LIVE_SCOPE,
        }
    )
    at: Moment
    definition: DefinitionAnswer
    frame: FrameAnswer
    official: LiveScope
    rehearsal: LiveScope


DeviceState = tuple[int, StateWord, float | None]


class LiveStates(Answer):
    """Data of a `states` event: a snapshot of every device on connecting, then only what changed.

    An entry is [device id, state, seconds since its last reading was received or null]. In a change the ages
    of the devices not named simply go on.
    """

    model_config = example(
        {
            "at": "2026-11-23T08:00:00Z",
            "snapshot": True,
            "states": [[17, "connected", 0.5], [18, "offline", 42.0]],
            "gone": [],
        }
    )
    at: Moment
    snapshot: bool = Field(description="True: replaces everything known before.")
    states: list[DeviceState]
    gone: list[int] = Field(description="Devices that left the frame.")
