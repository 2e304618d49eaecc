"""Counts of devices and protocols, at an instant and over time."""

from dataclasses import asdict

from pydantic import Field

from api.models.base import Answer, Moment, example
from api.models.words import ClassWord, OriginWord, ScopeWord, StateWord
from evidence.counting.count import Frame
from muster.presence import Definition


class DefinitionAnswer(Answer):
    """The versioned definition of presence that a count follows (DESIGN §4)."""

    version: str
    factor: float = Field(description="Freshness window = factor × the device's expected interval …")
    least_s: float = Field(description="… at least this …")
    cap_s: float = Field(description="… and at most this.")
    lease_s: float = Field(description="A gateway not heard from for this long has stopped watching.")

    @classmethod
    def of(cls, definition: Definition) -> "DefinitionAnswer":
        """Return a definition as the API tells it."""
        return cls(**asdict(definition))


class WindowAnswer(Answer):
    """The connected count over a window that ends at `at`, each value weighted by how long it lasted."""

    from_time: Moment
    to_time: Moment
    min: int
    median: float
    p5: float
    observed_share: float = Field(
        ge=0,
        le=1,
        description="Mean over the window of the share of the frame's devices that somebody watched; "
        "time without any registered device counts as unobserved.",
    )


class DaysAnswer(Answer):
    """How many distinct devices were connected at least `minutes` minutes on at least `least` of `of_days` days."""

    minutes: int
    least: int
    of_days: int
    time_zone: str
    first_day: str
    last_day: str
    devices: int


class ExclusionAnswer(Answer):
    """A device of the frame that is not counted, and why."""

    device: int
    code: str
    name: str
    enterprise: str
    state: StateWord
    reason: str = Field(description="Message key of the first reason that keeps it out.")
    reasons: list[str] = Field(description="Every reason that keeps it out, the first first.")
    detail: str = Field(description="Message key of what led to its state, such as `timeout`; may be empty.")
    since: Moment | None = Field(description="Since when it is in this state; null when that is not known.")


class ScopeAnswer(Answer):
    """A count in one scope. `by_state` covers the frame; the other breakdowns add up to `connected`."""

    marked: bool = Field(description="True for a rehearsal: it must be marked so wherever it is shown.")
    connected: int
    by_state: dict[StateWord, int]
    by_protocol: dict[str, int] = Field(description="By protocol family.")
    by_class: dict[ClassWord, int]
    by_enterprise: dict[str, int] = Field(description="By enterprise code.")
    by_industry: dict[str, int]
    by_origin: dict[OriginWord, int]
    excluded: list[ExclusionAnswer] = Field(description="First page of the devices not counted.")
    excluded_total: int
    excluded_next: str | None = Field(description="`cursor` for /counts/devices/excluded.")
    window: WindowAnswer
    days: DaysAnswer | None = Field(description="Null when asked with `days=false`.")


class FrameAnswer(Answer):
    """The devices that the count is about: registered at `at`, not retired, within the filters."""

    devices: int
    by_origin: dict[OriginWord, int]
    connected_by_origin: dict[OriginWord, int] = Field(
        description="Connected devices by origin, whatever the scope."
    )

    @classmethod
    def of(cls, frame: Frame) -> "FrameAnswer":
        """Return a frame as the API tells it."""
        return cls(
            devices=frame.devices,
            by_origin=dict(frame.by_origin),
            connected_by_origin=dict(frame.connected_by_origin),
        )


_DEFINITION = {"version": "presence-1", "factor": 3.0, "least_s": 10.0, "cap_s": 3600.0, "lease_s": 10.0}
_WINDOW = {
    "from_time": "2026-11-23T07:00:00Z",
    "to_time": "2026-11-23T08:00:00Z",
    "min": 517,
    "median": 520.0,
    "p5": 518.0,
    "observed_share": 1.0,
}
_DAYS = {
    "minutes": 60,
    "least": 20,
    "of_days": 30,
    "time_zone": "Asia/Shanghai",
    "first_day": "2026-10-25",
    "last_day": "2026-11-23",
    "devices": 498,
}
_EXCLUDED = {
    "device": 17,
    "code": "P-017",
    "name": "17号循环水泵",
    "enterprise": "yl-steel",
    "state": "connected",
    "reason": "excluded.origin-simulated",
    "reasons": ["excluded.origin-simulated"],
    "detail": "value",
    "since": "2026-11-23T06:12:05.250Z",
}
_STATES = {"unobserved": 0, "offline": 1, "linked": 0, "responding": 0, "connected": 519}
_OFFICIAL = {
    "marked": False,
    "connected": 0,
    "by_state": _STATES,
    "by_protocol": {},
    "by_class": {"operating": 0, "processing": 0, "mobile": 0, "other": 0},
    "by_enterprise": {},
    "by_industry": {},
    "by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 0},
    "excluded": [_EXCLUDED],
    "excluded_total": 520,
    "excluded_next": "eyJkIjoxN30",
    "window": {**_WINDOW, "min": 0, "median": 0.0, "p5": 0.0},
    "days": {**_DAYS, "devices": 0},
}
_REHEARSAL = {
    **_OFFICIAL,
    "marked": True,
    "connected": 519,
    "by_protocol": {"Modbus": 519},
    "by_class": {"operating": 240, "processing": 210, "mobile": 39, "other": 30},
    "by_enterprise": {"yl-steel": 319, "yl-pharma": 200},
    "by_industry": {"metallurgy": 319, "pharmaceuticals": 200},
    "by_origin": {"real": 0, "unknown": 0, "replayed": 0, "simulated": 519},
    "excluded": [{**_EXCLUDED, "state": "offline", "reason": "excluded.offline", "detail": "timeout"}],
    "excluded_total": 1,
    "excluded_next": None,
    "window": _WINDOW,
    "days": _DAYS,
}
_ORIGINS = {"real": 0, "unknown": 0, "replayed": 0, "simulated": 520}


class CountAnswer(Answer):
    """The count of connected devices at `at`, as it was known at `as_known_at`."""

    model_config = example(
        {
            "at": "2026-11-23T08:00:00Z",
            "as_known_at": "2026-11-23T08:00:00Z",
            "definition": _DEFINITION,
            "frame": {
                "devices": 520,
                "by_origin": _ORIGINS,
                "connected_by_origin": {**_ORIGINS, "simulated": 519},
            },
            "official": _OFFICIAL,
            "rehearsal": _REHEARSAL,
        }
    )
    at: Moment
    as_known_at: Moment
    definition: DefinitionAnswer
    frame: FrameAnswer
    official: ScopeAnswer | None = Field(description="Null when another scope was asked for.")
    rehearsal: ScopeAnswer | None = Field(description="Null when another scope was asked for.")


class ExcludedPage(Answer):
    """One page of the devices of the frame that are not counted."""

    model_config = example(
        {
            "at": "2026-11-23T08:00:00Z",
            "as_known_at": "2026-11-23T08:00:00Z",
            "scope": "official",
            "marked": False,
            "total": 520,
            "items": [_EXCLUDED],
            "next": None,
        }
    )
    at: Moment
    as_known_at: Moment
    scope: ScopeWord
    marked: bool
    total: int
    items: list[ExclusionAnswer]
    next: str | None


class VariantAnswer(Answer):
    """One protocol of a family, and how many counted devices speak it."""

    protocol: str
    devices: int


class FamilyAnswer(Answer):
    """A protocol family; its variants are the protocols counted as one."""

    family: str
    devices: int
    variants: list[VariantAnswer]


class ProtocolScopeAnswer(Answer):
    """The protocol families that at least one counted device evidences, in one scope."""

    marked: bool
    evidenced: int
    families: list[FamilyAnswer]


class ProtocolCountAnswer(Answer):
    """Protocols counted by family: what this installation supports, and what counted devices evidence."""

    model_config = example(
        {
            "at": "2026-11-23T08:00:00Z",
            "as_known_at": "2026-11-23T08:00:00Z",
            "supported": [{"family": "Modbus", "protocols": ["modbus"]}],
            "official": {"marked": False, "evidenced": 0, "families": []},
            "rehearsal": {
                "marked": True,
                "evidenced": 1,
                "families": [
                    {
                        "family": "Modbus",
                        "devices": 519,
                        "variants": [{"protocol": "modbus", "devices": 519}],
                    }
                ],
            },
        }
    )
    at: Moment
    as_known_at: Moment
    supported: list["SupportedAnswer"]
    official: ProtocolScopeAnswer
    rehearsal: ProtocolScopeAnswer


class SupportedAnswer(Answer):
    """A protocol family that this installation can read."""

    family: str
    protocols: list[str]


class SeriesAnswer(Answer):
    """The count over time, as columns of equal length.

    `official` and `rehearsal` are the counts at each instant of `time`; the `_min` columns hold the lowest
    count from that instant until the next.
    """

    model_config = example(
        {
            "from_time": "2026-11-23T07:58:00Z",
            "to_time": "2026-11-23T08:00:00Z",
            "step_s": 60.0,
            "as_known_at": "2026-11-23T08:00:00Z",
            "time": ["2026-11-23T07:58:00Z", "2026-11-23T07:59:00Z"],
            "official": [0, 0],
            "official_min": [0, 0],
            "rehearsal": [520, 519],
            "rehearsal_min": [519, 519],
            "observed": [520, 520],
            "frame": [520, 520],
        }
    )
    from_time: Moment
    to_time: Moment
    step_s: float
    as_known_at: Moment
    time: list[Moment]
    official: list[int]
    official_min: list[int]
    rehearsal: list[int]
    rehearsal_min: list[int]
    observed: list[int]
    frame: list[int]
