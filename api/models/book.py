"""Enterprises and the exchange of the device book."""

from typing import Any

from pydantic import Field

from api.models.base import Answer, example

_ENTERPRISE: dict[str, Any] = {
    "id": 1,
    "code": "yl-steel",
    "name": "远联钢铁",
    "industry": "metallurgy",
    "devices": 319,
    "sites": [{"code": "furnace-hall", "name": "炉区", "devices": 80}],
}


class SiteAnswer(Answer):
    """A place of an enterprise."""

    code: str
    name: str
    devices: int


class EnterpriseAnswer(Answer):
    """A tenant, with its places and how many devices are registered and not retired."""

    model_config = example(_ENTERPRISE)
    id: int
    code: str
    name: str
    industry: str
    devices: int
    sites: list[SiteAnswer]


class EnterpriseList(Answer):
    """Every enterprise the viewer may see."""

    model_config = example({"items": [_ENTERPRISE]})
    items: list[EnterpriseAnswer]


class BookError(Answer):
    """One mistake in a device book, where it is and what is wrong."""

    sheet: str
    row: int | None
    column: str | None
    code: str = Field(description="Message key.")
    message: str = Field(description="What is wrong, in words.")


class ImportAnswer(Answer):
    """What an import did, or with `dry_run` would do. With errors nothing is imported."""

    model_config = example(
        {
            "dry_run": True,
            "applied": False,
            "created": {"device": 3},
            "changed": {"device": 1},
            "retired": {},
            "unchanged": {"enterprise": 1},
            "errors": [
                {
                    "sheet": "devices",
                    "row": 7,
                    "column": "connection.port",
                    "code": "book.not-a-number",
                    "message": "connection.port: 'abc' is not a number",
                }
            ],
            "errors_total": 1,
        }
    )
    dry_run: bool
    applied: bool
    created: dict[str, int] = Field(description="By sheet.")
    changed: dict[str, int]
    retired: dict[str, int]
    unchanged: dict[str, int]
    errors: list[BookError] = Field(description="At most 1,000.")
    errors_total: int
