"""What the API process is told at its start."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bus.settings import BusSettings


class Settings(BaseModel):
    """Where to listen, the database as `muster_api`, the bus, and who may look without a token.

    anonymous: `operator` lets everybody who reaches the port read everything (a demo on loopback), `none` nobody.
    hosts: names under which browsers reach an anonymous API, besides this machine's loopback; `*` is any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    database: str
    bus: BusSettings | None = None
    console_dir: Path | None = None
    anonymous: Literal["operator", "none"] = "none"
    hosts: tuple[str, ...] = ()
    upload_limit_bytes: int = Field(default=32 * 1024 * 1024, gt=0)
    statement_timeout_s: float = Field(default=15.0, gt=0)
    request_timeout_s: float = Field(default=3.0, gt=0)
