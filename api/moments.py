"""Instants and durations as parameters: read, checked against the clock, refused by name."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from api.problems import FieldProblem

FIRST = datetime(1970, 1, 2, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d)?")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_moment(text: object) -> datetime:
    """Return the instant in RFC 3339 `text`, in UTC.

    Raises:
        ValueError: it is not one, or lies before 1970.
    """
    if isinstance(text, datetime):
        return text
    given = str(text)
    if not _RFC3339.fullmatch(given):
        hint = " (a `+` in a URL must be written `%2B`)" if " " in given[11:] else ""
        raise ValueError(f"not an instant like 2026-11-23T08:00:00Z{hint}")
    try:
        moment = datetime.fromisoformat(given.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such instant") from error
    if moment < FIRST:
        raise ValueError("nothing was counted before 1970")
    return moment


def read_duration(text: object) -> timedelta:
    """Return the duration in `text`: a number of seconds, or with a unit of s, m, h or d.

    Raises:
        ValueError: it is not one, or not above zero.
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(str(text))
    if match is None:
        raise ValueError("not a duration like 90s, 15m, 1h or 7d")
    duration = timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])
    if not duration:
        raise ValueError("it must be above zero")
    return duration


MomentParameter = Annotated[
    datetime,
    BeforeValidator(read_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
DurationParameter = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(s|m|h|d)?$"}),
]
At = Annotated[
    MomentParameter | None,
    Query(description="The asked instant; now when absent.", examples=["2026-11-23T08:00:00Z"]),
]
KnownAt = Annotated[
    MomentParameter | None,
    Query(
        description="Answer as was known at this instant, not before `at`; now when absent.",
        examples=["2026-11-23T08:10:00Z"],
    ),
]
From = Annotated[
    MomentParameter | None,
    Query(alias="from", description="Where the time begins.", examples=["2026-11-23T07:00:00Z"]),
]
To = Annotated[
    MomentParameter | None,
    Query(description="Where the time ends, exclusive; now when absent.", examples=["2026-11-23T08:00:00Z"]),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """An instant, and the instant as of which it is answered."""

    at: datetime
    known: datetime


def asked(at: datetime | None, known: datetime | None, now: datetime) -> Asked:
    """Return what is asked; `now` is the database's clock.

    Raises:
        FieldProblem: an instant has not come yet, or the knowledge is older than the asked instant.
    """
    not_yet("query.at", at, now)
    not_yet("query.as_known_at", known, now)
    chosen = at or (known or now)
    if known is not None and known < chosen:
        raise FieldProblem(
            "query.as_known_at", "it lies before `at`: nobody knew that instant yet", code="known-before-at"
        )
    return Asked(chosen, known or now)


def not_yet(field: str, moment: datetime | None, now: datetime) -> None:
    """Refuse an instant of the future.

    Raises:
        FieldProblem: it has not come yet.
    """
    if moment is not None and moment > now:
        said = moment.isoformat().replace("+00:00", "Z")
        raise FieldProblem(field, f"{said} has not come yet", code="in-the-future")


def span(
    frm: datetime | None, to: datetime | None, now: datetime, usual: timedelta, most: timedelta
) -> tuple[datetime, datetime]:
    """Return [from, to), by default the `usual` length before `to`, `to` being now.

    Raises:
        FieldProblem: it is empty, lies in the future or is longer than `most`.
    """
    not_yet("query.to", to, now)
    end = to or now
    start = frm or max(end - usual, FIRST)
    if start >= end:
        raise FieldProblem("query.from", "it does not lie before `to`", code="empty-span")
    if end - start > most:
        raise FieldProblem("query.from", f"at most {most.days} days are given at once", code="span-too-long")
    return start, end
