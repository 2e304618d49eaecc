"""Settings of a gateway process, read once at its start."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field

from bus.settings import BusSettings
from muster.errors import ConfigError


class Settings(BaseModel):
    """gateway: its number in the device book. key_file: its Ed25519 private key (PEM, PKCS #8).

    rooms_dir: what protocol rooms keep over restarts, such as certificates; a folder for each.
    shared: this is one of several processes of a site that share its devices, each under a lease.
    outbox_limit_bytes: disk space for what the bus has not taken; when it is used up, acquisition pauses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: int = Field(ge=1)
    name: str = Field(min_length=1)
    bus: BusSettings
    key_file: Path
    outbox_dir: Path
    rooms_dir: Path
    shared: bool = False
    outbox_limit_bytes: int = Field(default=2 << 30, ge=1 << 16)
    seal_interval_s: float = Field(default=0.5, ge=0.05, le=2)
    journal_interval_s: float = Field(default=0.05, ge=0.01, le=1)
    monitor_port: int | None = Field(default=None, ge=1, le=65535)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in `path`. Raises ConfigError naming the setting."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"key_file {path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"key_file {path}: not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"key_file {path}: not an Ed25519 key")
    return key
