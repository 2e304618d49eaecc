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

    sheet: str = Field(description="As the file calls it; empty when it concerns the whole file.")
    row: int | None = Field(description="The sheet's row, or the line of a YAML document.")
    column: str | None = Field(description="The column's letter, in sheets.")
    field: str | None = Field(description="The heading or the field.")
    code: str = Field(description="Message key.")
    facts: dict[str, Any] = Field(description="What fills the message's places.")
    message: str = Field(description="What is wrong and where, in the language asked for.")


class ImportAnswer(Answer):
    """What an import did, or with `dry_run` would do. With errors nothing is imported."""

    model_config = example(
        {
            "dry_run": True,
            "applied": False,
            "created": {"devices": 3},
            "changed": {"devices": 1},
            "retired": {},
            "unchanged": {"enterprises": 1},
            "errors": [
                {
                    "sheet": "devices",
                    "row": 7,
                    "column": "G",
                    "field": "connection.port",
                    "code": "book.not-a-number",
                    "facts": {"value": "abc"},
                    "message": "devices, row 7, column G (connection.port): “abc” is not a number",
                }
            ],
            "errors_total": 1,
            "warnings": [],
            "warnings_total": 0,
        }
    )
    dry_run: bool
    applied: bool
    created: dict[str, int] = Field(description="By sheet.")
    changed: dict[str, int]
    retired: dict[str, int]
    unchanged: dict[str, int]
    errors: list[BookError] = Field(description="The first 200.")
    errors_total: int
    warnings: list[BookError] = Field(description="The first 200; they do not stand against the import.")
    warnings_total: int
