"""How many devices are connected: now, at any past second, and over time."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Query

from api.access import CurrentViewer
from api.database import Reading
from api.models.counts import (
    CountAnswer,
    DaysAnswer,
    DefinitionAnswer,
    ExcludedPage,
    FrameAnswer,
    ProtocolCountAnswer,
    ScopeAnswer,
    SeriesAnswer,
    SupportedAnswer,
)
from api.models.words import ScopeWord
from api.moments import Asked, At, DurationParameter, From, KnownAt, To, asked, span
from api.paging import Cursor, Limit, unpack
from api.problems import FieldProblem
from api.routes.answering import router_of
from api.routes.count_answers import (
    LISTED,
    Position,
    days_answer,
    evidenced,
    exclusion_answer,
    following,
    scope_answer,
)
from api.routes.filters import EnterpriseCode, Industry, frame_filter
from api.state import CurrentState, State
from evidence.counting import instant, questions
from evidence.counting.count import SCOPES, Scope, count, frame
from evidence.counting.questions import Filter
from evidence.counting.timeline import Stretches, series
from muster.clock import to_datetime, to_us

LONGEST = timedelta(days=92)
MOST_SAMPLES = 5000
router = router_of("counts", "/counts")

Window = Annotated[
    DurationParameter | None,
    Query(
        description="Length of the window that ends at `at`, 1h when absent: 90s, 15m, 7d.", examples=["1h"]
    ),
]
Step = Annotated[
    DurationParameter | None,
    Query(description="Between two samples, 1m when absent: 10s, 5m, 1h.", examples=["1m"]),
]
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DaysWanted = Annotated[
    bool,
    Query(
        description="Whether to count the devices that last; it reads a month. Of a count of now it may be a "
        "minute old.",
        examples=[True],
    ),
]


@router.get("/devices", summary="Count the connected devices at an instant")
async def count_devices(
    viewer: CurrentViewer,
    state: CurrentState,
    at: At = None,
    as_known_at: KnownAt = None,
    window: Window = None,
    scope: Annotated[
        ScopeWord | None, Query(description="Only this scope; both when absent.", examples=["rehearsal"])
    ] = None,
    enterprise: EnterpriseCode = None,
    industry: Industry = None,
    days: DaysWanted = True,
    limit: Limit = 100,
) -> CountAnswer:
    """Count by the definition of presence, in the official and the rehearsal scope.

    `excluded` holds the first `limit` devices of the frame that are not counted, each with its reasons; the
    others are at `/counts/devices/excluded`.
    """
    length = window or HOUR
    if length > LONGEST:
        raise FieldProblem("query.window", f"at most {LONGEST.days} days", code="span-too-long")
    async with state.database.reading(viewer.enterprise) as reading:
        which = await frame_filter(reading, enterprise, industry)
        moment = asked(at, as_known_at, reading.now)
        devices = await instant.states(reading.connection, moment.at, moment.known, state.definition, which)
        over = await _stretches(reading, state, moment, moment.at - length, which)
        lasting: dict[Scope, DaysAnswer] = {}
        if days and at is None and as_known_at is None:
            key = (viewer.enterprise, enterprise, industry)
            lasting = await state.days.get(key, partial(_lasting, reading, state, moment, which))
        elif days:
            lasting = await _lasting(reading, state, moment, which)
    answers: dict[Scope, ScopeAnswer] = {}
    for word in SCOPES if scope is None else (scope,):
        counted = count(devices, word, state.families)
        answers[word] = await asyncio.to_thread(
            scope_answer, counted, moment, limit, over, moment.at - length, lasting.get(word)
        )
    return CountAnswer(
        at=moment.at,
        as_known_at=moment.known,
        definition=DefinitionAnswer.of(state.definition),
        frame=FrameAnswer.of(frame(devices)),
        official=answers.get("official"),
        rehearsal=answers.get("rehearsal"),
    )


@router.get("/devices/excluded", summary="List the devices of the frame that are not counted")
async def list_excluded(
    viewer: CurrentViewer,
    state: CurrentState,
    at: At = None,
    as_known_at: KnownAt = None,
    scope: Annotated[
        ScopeWord, Query(description="The scope of the count.", examples=["official"])
    ] = "official",
    enterprise: EnterpriseCode = None,
    industry: Industry = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ExcludedPage:
    """Every device that is not counted, with every reason. A cursor keeps to the instant it began with."""
    position = None if cursor is None else unpack(cursor, LISTED, Position)
    async with state.database.reading(viewer.enterprise) as reading:
        which = await frame_filter(reading, enterprise, industry)
        if position is None:
            moment = asked(at, as_known_at, reading.now)
        else:
            moment = asked(to_datetime(position.at), to_datetime(position.known), reading.now)
            scope = position.scope
        devices = await instant.states(reading.connection, moment.at, moment.known, state.definition, which)
    counted = count(devices, scope, state.families)
    after = 0 if position is None else position.device
    rest = counted.excluded.after(after)
    return ExcludedPage(
        at=moment.at,
        as_known_at=moment.known,
        scope=scope,
        marked=counted.marked,
        total=len(counted.excluded),
        items=[exclusion_answer(each) for each in rest[:limit]],
        next=following(rest, moment, scope, limit),
    )


@router.get("/protocols", summary="Count the protocols that are supported and evidenced")
async def count_protocols(
    viewer: CurrentViewer,
    state: CurrentState,
    at: At = None,
    as_known_at: KnownAt = None,
    enterprise: EnterpriseCode = None,
    industry: Industry = None,
) -> ProtocolCountAnswer:
    """Protocols by family: those this installation can read, and those that counted devices speak."""
    async with state.database.reading(viewer.enterprise) as reading:
        which = await frame_filter(reading, enterprise, industry)
        moment = asked(at, as_known_at, reading.now)
        devices = await instant.states(reading.connection, moment.at, moment.known, state.definition, which)
    supported: dict[str, list[str]] = {}
    for name, family in sorted(state.families.items()):
        supported.setdefault(family, []).append(name)
    return ProtocolCountAnswer(
        at=moment.at,
        as_known_at=moment.known,
        supported=[
            SupportedAnswer(family=family, protocols=names) for family, names in sorted(supported.items())
        ],
        official=evidenced(devices, "official", state.families),
        rehearsal=evidenced(devices, "rehearsal", state.families),
    )


@router.get("/series", summary="Count the connected devices over time")
async def count_series(
    viewer: CurrentViewer,
    state: CurrentState,
    frm: From = None,
    to: To = None,
    step: Step = None,
    as_known_at: KnownAt = None,
    enterprise: EnterpriseCode = None,
    industry: Industry = None,
) -> SeriesAnswer:
    """Samples from `from` (an hour ago when absent) before `to`, and the lowest count between them."""
    between = step or MINUTE
    async with state.database.reading(viewer.enterprise) as reading:
        which = await frame_filter(reading, enterprise, industry)
        start, end = span(frm, to, reading.now, HOUR, LONGEST)
        if (end - start) / between > MOST_SAMPLES:
            raise FieldProblem(
                "query.step", f"more than {MOST_SAMPLES} samples; take a longer step", code="too-many-samples"
            )
        moment = asked(end, as_known_at, reading.now)
        found = await _stretches(reading, state, moment, start, which)
    sampled = await asyncio.to_thread(series, found, to_us(start), to_us(end), round(between / _MICROSECOND))
    return SeriesAnswer(
        from_time=start,
        to_time=end,
        step_s=between.total_seconds(),
        as_known_at=moment.known,
        time=[to_datetime(instant) for instant in sampled.time.tolist()],
        official=sampled.official.tolist(),
        official_min=sampled.official_min.tolist(),
        rehearsal=sampled.rehearsal.tolist(),
        rehearsal_min=sampled.rehearsal_min.tolist(),
        observed=sampled.observed.tolist(),
        frame=sampled.frame.tolist(),
    )


_MICROSECOND = timedelta(microseconds=1)


async def _stretches(
    reading: Reading, state: State, moment: Asked, start: datetime, which: Filter
) -> Stretches:
    return await questions.stretches(
        reading.connection, start, moment.at, moment.known, state.definition, which
    )


async def _lasting(reading: Reading, state: State, moment: Asked, which: Filter) -> dict[Scope, DaysAnswer]:
    """Count the devices that last by the rulebook's rule."""
    rule = state.rulebook.days_rule
    month = await _stretches(reading, state, moment, to_datetime(int(rule.bounds(moment.at)[0])), which)
    return {scope: await asyncio.to_thread(days_answer, month, scope, rule, moment.at) for scope in SCOPES}
