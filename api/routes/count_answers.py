"""Counts as the API tells them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from api.models.counts import (
    DaysAnswer,
    ExclusionAnswer,
    FamilyAnswer,
    ProtocolScopeAnswer,
    ScopeAnswer,
    VariantAnswer,
    WindowAnswer,
)
from api.moments import Asked
from api.paging import pack
from evidence.counting.count import Count, Exclusion, Scope, count
from evidence.counting.devices import DeviceAt
from evidence.counting.timeline import DaysRule, Stretches, lasting, window
from muster.clock import to_us

LISTED = "excluded"


class Position(msgspec.Struct, array_like=True):
    """Where a list of excluded devices stands: what was asked (µs), and the last device given."""

    at: int
    known: int
    scope: Scope
    device: int


def scope_answer(
    counted: Count,
    moment: Asked,
    limit: int,
    over: Stretches,
    start: datetime,
    days: DaysAnswer | None,
) -> ScopeAnswer:
    """Return a count with its first excluded devices and its window, `over` [start, moment.at)."""
    said = window(over, counted.scope, to_us(start), to_us(moment.at))
    return ScopeAnswer(
        marked=counted.marked,
        connected=counted.connected,
        by_state=dict(counted.by_state),
        by_protocol=dict(counted.by_protocol),
        by_class=dict(counted.by_class),
        by_enterprise=dict(counted.by_enterprise),
        by_industry=dict(counted.by_industry),
        by_origin=dict(counted.by_origin),
        excluded=[exclusion_answer(each) for each in counted.excluded[:limit]],
        excluded_total=len(counted.excluded),
        excluded_next=following(counted.excluded, moment, counted.scope, limit),
        window=WindowAnswer(
            from_time=start,
            to_time=moment.at,
            min=said.minimum,
            median=said.median,
            p5=said.p5,
            observed_share=said.observed_share,
        ),
        days=days,
    )


def days_answer(month: Stretches, scope: Scope, rule: DaysRule, at: datetime) -> DaysAnswer:
    """Return how many devices last by `rule`."""
    days = rule.days(at)
    return DaysAnswer(
        minutes=rule.minutes,
        least=rule.least,
        of_days=rule.of_days,
        time_zone=rule.time_zone,
        first_day=days[0].isoformat(),
        last_day=days[-1].isoformat(),
        devices=lasting(month, scope, rule, at),
    )


def exclusion_answer(exclusion: Exclusion) -> ExclusionAnswer:
    """Return a device that is not counted, with its reasons."""
    device = exclusion.device
    return ExclusionAnswer(
        device=device.device,
        code=device.code,
        name=device.name,
        enterprise=device.enterprise,
        state=device.state.word,
        reason=exclusion.reasons[0],
        reasons=list(exclusion.reasons),
        detail=device.reason,
        since=device.since,
    )


def following(rest: Sequence[Exclusion], moment: Asked, scope: Scope, limit: int) -> str | None:
    """Return the cursor of the page after the first `limit` of `rest`."""
    if len(rest) <= limit:
        return None
    last = rest[limit - 1].device.device
    return pack(LISTED, Position(to_us(moment.at), to_us(moment.known), scope, last))


def evidenced(devices: Iterable[DeviceAt], scope: Scope, families: Mapping[str, str]) -> ProtocolScopeAnswer:
    """Return the protocol families that counted devices speak."""
    counted = count(devices, scope, families)
    variants: dict[str, list[VariantAnswer]] = {}
    for protocol, number in sorted(counted.by_variant.items()):
        family = families.get(protocol, protocol)
        variants.setdefault(family, []).append(VariantAnswer(protocol=protocol, devices=number))
    return ProtocolScopeAnswer(
        marked=counted.marked,
        evidenced=len(variants),
        families=[
            FamilyAnswer(family=family, devices=counted.by_protocol[family], variants=spoken)
            for family, spoken in sorted(variants.items())
        ],
    )
