"""Settings of the simulators' process, read once at its start."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.mqtt.link import Broker


class Settings(BaseModel):
    """A fleet to simulate.

    ports: one for each endpoint of the fleet, in order. control_port, token_file: where faults are asked for, and
    the secret that a caller shows; protocols: what areas may speak; broker: where those publish that speak MQTT or
    Sparkplug B; certificates: where OPC UA servers that accept encrypted sessions only keep theirs; step_s: how often
    the machines move on, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    devices: int = Field(default=520, ge=1, le=10_000)
    seed: int = 1
    host: str = "127.0.0.1"
    ports: list[int]
    control_port: int = Field(ge=1, le=65535)
    token_file: Path
    protocols: tuple[Literal["modbus", "opcua", "mqtt", "sparkplug"], ...] = ("modbus",)
    broker: Broker | None = None
    certificates: Path | None = None
    step_s: float = Field(default=1.0, ge=0.05, le=60)
    monitor_port: int | None = Field(default=None, ge=1, le=65535)
