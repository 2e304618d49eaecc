"""What an OPC UA device's `connection` and a tag's `address` may say, and what both mean together.

Everything here is data: no socket and no library is touched.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.checks import check_numbers, check_positions, check_type, validated
from muster.device import Device, ReportMode, Tag
from muster.errors import ConfigError

INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "enum"})
TEXTS = frozenset({"string"})
TYPES = INTEGERS | TEXTS | {"bool", "float32", "float64", "datetime"}
ROOT = "{root}"
_NODE = re.compile(r"(?:(?:ns=\d+|nsu=[^;]+);)?(?:i=\d+|g=[0-9a-fA-F-]{36}|s=.+)", re.DOTALL)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked_node(text: str) -> str:
    if not _NODE.fullmatch(text):
        raise ValueError("is no node id such as ns=2;s=Pump.Speed or nsu=urn:x;i=5")
    return text


class Call(_Model):
    """The methods by which a tag is written.

    method: called with the value when it takes an argument; off_method: called for 0 instead, of a bool. object: whose
    methods they are; else the object below which each stands. settle_ms: how long the tag may take to read back as
    written.
    """

    method: str
    off_method: str | None = None
    object_: str | None = Field(default=None, alias="object")
    settle_ms: Annotated[int, Field(ge=0, le=25_000)] = 2000

    @field_validator("method", "off_method", "object_")
    @classmethod
    def _node(cls, node: str | None) -> str | None:
        return node if node is None or node.startswith(ROOT) else _checked_node(node)


class Address(_Model):
    """Where a tag's value stands.

    node: a node id; one that begins with `{root}` continues the device's `connection.root`, so that devices of one
    model can share their tags. index: of an array's element, counted from 0, or a path of fields and indexes such as
    `Status.Speed.0`. call: how it is written where the server has methods for that.
    """

    node: str
    index: Annotated[int, Field(ge=0)] | str | None = None
    call: Call | None = None

    @field_validator("node")
    @classmethod
    def _node(cls, node: str) -> str:
        return node if node.startswith(ROOT) else _checked_node(node)

    @property
    def path(self) -> tuple[str, ...]:
        """The steps from the node's value to the tag's."""
        return () if self.index is None else tuple(str(self.index).split("."))

    @property
    def has_field(self) -> bool:
        """Whether the path goes into a structure."""
        return any(not step.isdecimal() for step in self.path)


class Security(_Model):
    """How messages are protected. Without encryption only where this says policy None and mode none."""

    policy: Literal["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] = (
        "Basic256Sha256"
    )
    mode: Literal["none", "sign", "sign_and_encrypt"] = "sign_and_encrypt"

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.policy == "None") != (self.mode == "none"):
            raise ValueError("policy None goes with mode none, and only with it")
        return self


class User(_Model):
    """Who signs in: a name whose password stands in a file on the gateway's machine, or a certificate there.

    password_in_clear: the password may be sent so that whoever listens can read it; it is never sent so without this.
    """

    username: Annotated[str, Field(min_length=1)] | None = None
    password_file: Annotated[str, Field(min_length=1)] | None = None
    certificate_file: Annotated[str, Field(min_length=1)] | None = None
    key_file: Annotated[str, Field(min_length=1)] | None = None
    password_in_clear: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        named, shown = (self.username, self.password_file), (self.certificate_file, self.key_file)
        if (None in named) == (None in shown) or (any(named) and any(shown)):
            raise ValueError("needs username and password_file, or certificate_file and key_file")
        return self


class Connection(_Model):
    """How a device is reached.

    root: the node id of this device's object, where one server stands for several devices. server_certificate: the
    SHA-1 thumbprint, in upper-case hex, of a server certificate that is trusted without being decided on.
    overdue_revocation_list: an authority whose revocation list is overdue still lets in whom that list does not name,
    as at a plant whose authority is seldom heard. time: `read`
    takes the instant of each answer for the time of its values, as with equipment that has no clock; for polled devices
    of a server that stamps each variable apart, whose values would each be a scan of their own.
    """

    url: str
    security: Security = Security()
    user: User | None = None
    root: str | None = None
    server_certificate: Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")] | None = None
    overdue_revocation_list: bool = False
    timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 4000
    connect_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 10_000
    backoff_max_s: Annotated[float, Field(ge=0.1, le=600)] = 30.0
    sampling_interval_ms: Annotated[float, Field(ge=0, le=3_600_000)] | None = None
    deadband: Annotated[float, Field(ge=0)] | None = None
    time: Literal["source", "read"] = "source"
    queue_size: Annotated[int, Field(ge=1, le=10_000)] = 10

    @field_validator("url")
    @classmethod
    def _reachable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "opc.tcp" or not parts.hostname or parts.username is not None:
            raise ValueError("is no opc.tcp://host:port/path without a user name in it")
        if parts.port == 0:
            raise ValueError("port 0 is none")
        return url

    @field_validator("root")
    @classmethod
    def _root_node(cls, root: str | None) -> str | None:
        return root if root is None else _checked_node(root)

    @property
    def server(self) -> str:
        """The server's URL in one spelling: host in lower case, port always said."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"opc.tcp://{host}:{parts.port or 4840}{parts.path.rstrip('/')}"

    @property
    def settings(self) -> "Connection":
        """What must be equal for all devices that share a session."""
        return self.model_copy(
            update={
                "url": self.server,
                "root": None,
                "deadband": None,
                "time": "source",
                "sampling_interval_ms": None,
                "queue_size": 10,
            }
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A tag understood."""

    tag: Tag
    address: Address


@dataclass(frozen=True, slots=True)
class Understood:
    """A device's document, checked."""

    connection: Connection
    places: tuple[Place, ...]


def connection_of(document: Mapping[str, Any]) -> Connection:
    """Return what a `connection` says. Raises ConfigError naming the field."""
    connection = validated(Connection, dict(document), "connection")
    user = connection.user
    if connection.security.policy == "None" and user is not None and user.username is not None:
        check_password(user)
    return connection


def check_password(user: User) -> None:
    """Check that a password may be sent unencrypted. Raises ConfigError naming the field."""
    if not user.password_in_clear:
        raise ConfigError(
            "connection.user.password_in_clear: the password would be sent in clear; encrypt the session"
            " (connection.security), or say true here if whoever listens may read it"
        )


def endpoint(connection: BaseModel) -> str:
    """Return a text equal for two devices iff they share one process address space."""
    assert isinstance(connection, Connection)
    return connection.server + ("" if connection.root is None else f"#{connection.root}")


def check(device: Device) -> None:
    """Check a device's document whole. Raises ConfigError naming the field."""
    understand(device)


def understand(device: Device) -> Understood:
    """Return what a device's document means. Raises ConfigError naming the field."""
    connection = connection_of(device.connection)
    if not math.isfinite(device.interval_s) or device.interval_s < 0.05:
        raise ConfigError(f"interval_s: {device.interval_s} is below 0.05, the shortest")
    if connection.time == "read" and device.report_mode is not ReportMode.POLLED:
        raise ConfigError(
            "connection.time: read is for polled devices; what is told unasked has its source's time"
        )
    if not device.tags:
        raise ConfigError("tags: a device without tags cannot be watched")
    places = tuple(_place(tag, connection.root) for tag in sorted(device.tags, key=lambda tag: tag.position))
    check_positions(device.tags)
    return Understood(connection, places)


def _place(tag: Tag, root: str | None) -> Place:
    where = f"tags[{tag.name}]"
    address = validated(Address, tag.address, f"{where}.address")
    address = address.model_copy(update={"node": _rooted(address.node, root, f"{where}.address.node")})
    if address.call is not None:
        if not tag.writable:
            raise ConfigError(f"{where}.address.call: goes with writable")
        if address.call.off_method is not None and tag.type != "bool":
            raise ConfigError(f"{where}.address.call.off_method: only a bool is switched off")
        nodes = {name: getattr(address.call, name) for name in ("method", "off_method", "object_")}
        rooted = {
            name: _rooted(node, root, f"{where}.address.call")
            for name, node in nodes.items()
            if node is not None
        }
        address = address.model_copy(update={"call": address.call.model_copy(update=rooted)})
    check_type(tag, TYPES, where)
    check_numbers(tag, ("bool", "string", "datetime", "enum"), where)
    if tag.writable and address.index is not None:
        raise ConfigError(f"{where}.writable: a part of a value cannot be written")
    return Place(tag, address)


def _rooted(node: str, root: str | None, where: str) -> str:
    if not node.startswith(ROOT):
        return node
    if root is None:
        raise ConfigError(f"{where}: {ROOT} needs connection.root")
    return root + node.removeprefix(ROOT)
