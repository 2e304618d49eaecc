"""How a broker is reached: the part of a connection that MQTT and Sparkplug devices share."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Transport = Literal["tcp", "tls", "websocket", "websocket_tls"]
_PORTS: dict[Transport, int] = {"tcp": 1883, "tls": 8883, "websocket": 80, "websocket_tls": 443}
_ENCRYPTED = ("tls", "websocket_tls")


class Tls(BaseModel):
    """How the broker is checked, always, and how the gateway shows who it is.

    ca_file: authorities, instead of the system's. server_name: the name its certificate must carry, when that is
    not the host. certificate_file, key_file: the gateway's own, for brokers that ask for one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self


class BrokerSettings(BaseModel):
    """One broker as one client sees it; equal settings share one session.

    path: of a WebSocket. client_id: made from the gateway's name unless said; the broker keeps what arrives while we
    are away under it, so it must be this gateway's alone. share: a group among which a broker that knows `$share`
    divides the messages. backoff_max_s: the longest pause between two attempts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    transport: Transport = "tcp"
    path: Annotated[str, Field(pattern="^/")] = "/mqtt"
    tls: Tls | None = None
    username: str | None = None
    password_file: Path | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    version: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    share: Annotated[str, Field(pattern="^[^/+#]+$")] | None = None
    connect_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 5000
    backoff_max_s: Annotated[float, Field(ge=0.1, le=600)] = 30.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.tls is not None and not self.encrypted:
            raise ValueError("tls: only with transport tls or websocket_tls")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file: goes with username")
        return self

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self.transport in _ENCRYPTED

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host.strip().lower(), self.port or _PORTS[self.transport]

    @property
    def text(self) -> str:
        """The broker as people write it."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
