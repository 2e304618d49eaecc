"""What an ingest process is told at its start."""

from pydantic import BaseModel, ConfigDict, Field

from bus.settings import BusSettings


class Settings(BaseModel):
    """worker: a name for logs and metrics; database: the connection string of the role muster_ingest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: str = Field(min_length=1)
    database: str
    bus: BusSettings
    stream_limit_bytes: int = Field(gt=0)
    monitor_port: int | None = None
