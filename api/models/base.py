"""What every answer shares: strict models, times in UTC, pages."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


def example(value: dict[str, Any]) -> ConfigDict:
    """Return the configuration of an answer whose example in the OpenAPI document is `value`."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [value]})


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_utc), Field(description="RFC 3339, UTC.")]


class Answer(BaseModel):
    """The root of every answer; unknown keys are a mistake of ours, found by tests."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Answer, Generic[Item]):
    """One page of a list. Ask for the next with `cursor`; there is none when `next` is null."""

    items: list[Item]
    next: str | None = Field(default=None, description="Opaque; the `cursor` of the next page.")
