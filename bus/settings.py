"""How a process reaches the bus."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class BusSettings(BaseModel):
    """Address and credentials of the NATS server; the secret stays in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
