"""Filters that several routes share. What the viewer may not see is as if it were not there."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

from api.database import Reading
from api.problems import not_found
from evidence.counting.questions import EVERYTHING, Filter


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a null character is not text")
    return text


Text = Annotated[str, AfterValidator(_storable)]
EnterpriseCode = Annotated[
    Text | None, Query(max_length=200, description="Code of an enterprise.", examples=["yl-steel"])
]
Industry = Annotated[
    Text | None, Query(max_length=200, description="Industry as registered.", examples=["metallurgy"])
]


async def require_enterprise(reading: Reading, code: str | None) -> int | None:
    """Return the number of the enterprise that is asked for, None when none is.

    Raises:
        RequestError: 404, there is none of this code that the viewer may see.
    """
    if code is None:
        return None
    row = await reading.row("enterprise_number", code=code)
    if row is None:
        raise not_found(f"enterprise {code}")
    number: int = row["id"]
    return number


async def frame_filter(reading: Reading, enterprise: str | None, industry: str | None) -> Filter:
    """Return the filter of a count."""
    number = await require_enterprise(reading, enterprise)
    if number is None and industry is None:
        return EVERYTHING
    return Filter(enterprises=None if number is None else [number], industry=industry)
