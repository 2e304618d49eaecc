"""Who is looking."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.models.base import Answer, example


class LoginRequest(BaseModel):
    """The token to log in with; the console then carries it in a cookie that no script can read."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "mst_Zm9v…"}]})
    token: SecretStr = Field(max_length=200)


class SessionAnswer(Answer):
    """Who the server takes the caller for."""

    model_config = example(
        {"signed_in": True, "by": "token", "label": "大屏", "enterprise": None, "may_write": False}
    )
    signed_in: bool
    by: Literal["token", "anonymous", "nobody"]
    label: str
    enterprise: str | None = Field(
        description="The one enterprise seen; null for the operator's view of all."
    )
    may_write: bool


class HealthAnswer(Answer):
    """Whether this process can answer questions now."""

    model_config = example({"status": "ok", "version": "0.1.0", "checks": {"database": "ok", "bus": "ok"}})
    status: Literal["ok", "degraded", "failing"]
    version: str
    checks: dict[str, str]
