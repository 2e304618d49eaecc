"""The embedded NATS server: JetStream on disk, synced with every write, and a user for each kind of process.

Each user may only do what its process does; a gateway may publish under its own number and nobody else's, and of all
device documents it reads its own: a consumer is asked for under a subject that ends with what it is to hear, and no
other way to the bucket is open to it.
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
_LEASES = f"$KV.{subjects.LEASE_BUCKET}"
_LEASE_STREAM = f"KV_{subjects.LEASE_BUCKET}"
MQTT_USERS = ("equipment", "listener")
"""Those who publish to the embedded broker, and the gateways that hear them."""
_MQTT_BYTES = 512 * 2**20
_BESIDE_BYTES = 64 * 2**20
_MOST_UNACKNOWLEDGED = 100
"""Messages that may be under way to one subscription: a gateway acknowledges them when its outbox holds them. Over all
subscriptions of a session the server takes at most 65,535, so a gateway may hear 655 topics here."""
_KV_STREAM = f"KV_{subjects.CONFIG_BUCKET}"


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded server: its folder below the data directory, its port, its limit on disk.

    mqtt_port: where equipment finds it as an MQTT 3.1.1 broker; None: it is none.
    """

    folder: Path
    port: int
    limit_bytes: int
    mqtt_port: int | None = None

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
                f"$JS.API.CONSUMER.CREATE.{_KV_STREAM}.*.{_KV}.{subjects.device_keys(int(number))}",
                f"$JS.API.CONSUMER.INFO.{_KV_STREAM}.*",
                f"$JS.FC.{_KV_STREAM}.>",
                "$JS.API.INFO",
                f"{_LEASES}.{subjects.lease_key(int(number))}",
                f"$JS.API.STREAM.INFO.{_LEASE_STREAM}",
                f"$JS.API.STREAM.MSG.GET.{_LEASE_STREAM}",
                f"$JS.API.DIRECT.GET.{_LEASE_STREAM}.>",
            ],
            [f"gateway.{number}.request.*", *inbox],
        )
    match user:
        case "api":
            return ["gateway.*.request.*"], inbox
        case "ingest":
            return ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>"], inbox
        case "keeper":
            own = [f"{_KV}.>", f"{_LEASES}.>", "gateway.*.request.release"]
            return ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", *own], inbox
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
    """Return the server's configuration file, with its users' secrets.

    The bus and the broker are two accounts, which share no subject and no store: whatever equipment publishes, and
    however much of it waits, the bus goes on.
    """
    users = []
    for user, password in passwords.items():
        if user in MQTT_USERS:
            continue
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
            f"    max_file_store: {server.limit_bytes + _BESIDE_BYTES + _MQTT_BYTES}",
            "    max_memory_store: 0",
            "    sync_interval: always",
            "}",
            "accounts {",
            "  BUS {",
            f"    jetstream: {{max_file: {server.limit_bytes + _BESIDE_BYTES}}}",
            "    users: [",
            ",\n".join(users),
            "    ]",
            "  }",
            *_broker(server, passwords),
            "}",
            "",
        ]
    )


def _broker(server: Embedded, passwords: Mapping[str, str]) -> list[str]:
    if server.mqtt_port is None:
        return []
    users = [f'{{user: "{user}", password: "{passwords[user]}"}}' for user in MQTT_USERS if user in passwords]
    return [
        "  EQUIPMENT {",
        f"    jetstream: {{max_file: {_MQTT_BYTES}}}",
        f"    users: [{', '.join(users)}]",
        "  }",
        "}",
        "mqtt {",
        f"  listen: 127.0.0.1:{server.mqtt_port}",
        f"  max_ack_pending: {_MOST_UNACKNOWLEDGED}",
        '  ack_wait: "60s"',
    ]


def prepare(server: Embedded, passwords: Mapping[str, str]) -> Command:
    """Write the configuration and return the command that serves it."""
    server.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _move_to_account(server.folder / "store" / "jetstream")
    path = server.folder / "nats.conf"
    path.touch(mode=0o600)
    path.write_text(configuration(server, passwords), "utf-8")
    return Command("nats", [str(program()), "-c", str(path)], log=server.folder / "nats.log")


def _move_to_account(streams: Path) -> None:
    """Give the streams of a data directory from before there were accounts to the bus's account."""
    if (streams / "$G").is_dir() and not (streams / "BUS").exists():
        (streams / "$G").rename(streams / "BUS")


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
