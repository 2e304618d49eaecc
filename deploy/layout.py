"""Where an installation keeps what it must not lose: one data directory, held by one launcher at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from deploy.progress import both
from muster.errors import ConfigError
from muster.files import replace_file
from simulators.modbus.ports import free_ports, is_free

LEAST_FREE_BYTES = 2**30


def default_data_dir() -> Path:
    """Return the place for data where the user named none."""
    if os.geteuid() == 0:
        return Path("/var/lib/muster")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "muster"


def layout_of(data_dir: Path | None, usual: str = "demo") -> "Layout":
    """Return the layout of the data directory that the user named, else of the usual one of this name."""
    return Layout((data_dir or default_data_dir() / usual).absolute())


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files below a data directory."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The embedded database."""
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        """The embedded bus."""
        return self.root / "nats"

    @property
    def run(self) -> Path:
        """Settings of the running processes, and the state file."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    def outbox(self, gateway: str) -> Path:
        """A gateway's outbox."""
        return self.root / "outbox" / gateway

    def rooms(self, gateway: str) -> Path:
        """What a gateway's protocol rooms keep."""
        return self.root / "rooms" / gateway

    def secret_file(self, name: str) -> Path:
        """The file of a secret."""
        return self.root / "secrets" / name

    def known_port(self, name: str) -> int | None:
        """Return the port of this name that the last start used."""
        file = self.root / f"{name}-port"
        return int(file.read_text("utf-8")) if file.exists() else None

    def kept_port(self, name: str, wanted: int | None = None) -> int:
        """Return the port of this name: the wanted one, else that of an earlier start while it is free."""
        kept = self.known_port(name)
        port = wanted or kept
        if port is None or (wanted is None and not is_free("127.0.0.1", port)):
            (port,) = free_ports(1)
        if port != kept:
            self.write(self.root / f"{name}-port", str(port))
        return port

    def make(self) -> None:
        """Make the folders.

        Raises:
            ConfigError: the data directory cannot be made or written to, or the disk is nearly full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
            for folder in (self.run, self.logs, self.root / "secrets", self.root / "outbox"):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"--data-dir {self.root}: {error.strerror}") from error
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE_BYTES:
            least_mb = LEAST_FREE_BYTES // 2**20
            raise ConfigError(
                both("launch.disk-full", folder=self.root, free_mb=free // 2**20, least_mb=least_mb)
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the data directory for the block.

        Raises:
            ConfigError: another launcher holds it.
        """
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(both("launch.held", folder=self.root)) from error
            yield

    def secret(self, name: str) -> str:
        """Return the secret of this name, made when there is none."""
        path = self.secret_file(name)
        if not path.exists():
            replace_file(path, secrets.token_hex(24).encode())
        return path.read_text("utf-8")

    def more_processes(self, gateway: str) -> list[str]:
        """Return the codes of the processes beside the first that this gateway ever had here."""
        files = (self.root / "secrets").glob(f"gateway-{gateway}.*.pem")
        codes = (file.name.removeprefix("gateway-").removesuffix(".pem") for file in files)
        return sorted(code for code in codes if code.removeprefix(f"{gateway}.").isdecimal())

    def gateway_key(self, gateway: str) -> bytes:
        """Return a local gateway's public key (32 bytes), made with its private key when there is none."""
        path = self.secret_file(f"gateway-{gateway}.pem")
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        loaded = load_pem_private_key(path.read_bytes(), password=None)
        return loaded.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def state_file(self) -> Path:
        """What the launcher says of the running installation, for `status` and `doctor`."""
        return self.run / "state.json"

    @property
    def connections_file(self) -> Path:
        """How the database and the bus are reached, for the command line."""
        return self.run / "connections.json"

    def read_state(self) -> dict[str, Any] | None:
        """Return what the launcher last said, None when nothing was ever started here."""
        try:
            state: dict[str, Any] = json.loads(self.state_file.read_text("utf-8"))
        except FileNotFoundError:
            return None
        return state

    def write(self, path: Path, content: str) -> None:
        """Write a file that only its owner reads, whole or not at all."""
        replace_file(path, content.encode())
