"""The topology of one installation, as a TOML file says it or as `muster demo` assumes it.

Every key has a default; an unknown key is refused by name. With no `[database]` and no `[bus]` the embedded
servers are used.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bus.settings import BusSettings
from deploy.postgres import CACHE_BYTES
from muster.errors import ConfigError

_STRICT = ConfigDict(frozen=True, extra="forbid")


class Database(BaseModel):
    """The user's own PostgreSQL: `url` of a role that may make roles and owns the database."""

    model_config = _STRICT
    url: str
    password_file: Path | None = None


class Api(BaseModel):
    """Where people reach the platform, and what somebody without a token may see."""

    model_config = _STRICT
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=1, le=65535)
    anonymous: Literal["operator", "none"] = "none"


class Ingest(BaseModel):
    """How many workers store batches, and how much may wait on the bus for them."""

    model_config = _STRICT
    workers: int = Field(default=1, ge=1, le=4)
    stream_limit_bytes: int = Field(default=2 * 2**30, ge=16 * 2**20)


class Mqtt(BaseModel):
    """The embedded bus as an MQTT 3.1.1 broker on 127.0.0.1; port None: a free one, kept from start to start."""

    model_config = _STRICT
    port: int | None = Field(default=None, ge=1, le=65535)


class Storage(BaseModel):
    """The database's disk budget, a raw partition's width in minutes, and the embedded server's cache."""

    model_config = _STRICT
    disk_budget_bytes: int = Field(default=20 * 10**9, ge=32 * 2**20)
    partition_minutes: int = Field(default=60, ge=1, le=1440)
    cache_bytes: int = Field(default=CACHE_BYTES, ge=16 * 2**20)


class Gateway(BaseModel):
    """A gateway that this launcher runs; processes: how many share its devices, each with its own key and outbox."""

    model_config = _STRICT
    code: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    name: str = ""
    processes: int = Field(default=1, ge=1, le=16)
    outbox_limit_bytes: int = Field(default=2 * 2**30, ge=2**20)

    @property
    def codes(self) -> list[str]:
        """The codes of its processes, the first one's its own."""
        return [self.code, *(f"{self.code}.{number}" for number in range(2, self.processes + 1))]


class Simulators(BaseModel):
    """A fleet of simulated devices, and the protocols that its areas may speak."""

    model_config = _STRICT
    devices: int = Field(default=520, ge=1, le=10_000)
    seed: int = 1
    protocols: tuple[Literal["modbus", "opcua", "mqtt", "sparkplug"], ...] = (
        "modbus",
        "opcua",
        "mqtt",
        "sparkplug",
    )


class Site(BaseModel):
    """One installation."""

    model_config = _STRICT
    database: Database | None = None
    bus: BusSettings | None = None
    api: Api = Api()
    ingest: Ingest = Ingest()
    storage: Storage = Storage()
    mqtt: Mqtt = Mqtt()
    gateways: list[Gateway] = Field(default=[Gateway(code="gateway-1", name="网关 1")], min_length=1)
    simulators: Simulators | None = None


def demo(port: int, devices: int | None) -> Site:
    """Return the installation of `muster demo`; devices None: no simulators."""
    return Site(
        api=Api(port=port, anonymous="operator"),
        gateways=[Gateway(code="demo-1", name="演示网关")],
        simulators=None if devices is None else Simulators(devices=devices),
    )


def load(path: Path) -> Site:
    """Read an installation from a TOML file.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown or wrong; the key is named.
    """
    try:
        return Site.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines)) from error
