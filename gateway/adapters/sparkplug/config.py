"""What a Sparkplug device's `connection` and a tag's `address` may say, and what both mean together. Data only."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.adapters.mqtt.settings import BrokerSettings
from gateway.adapters.mqtt.values import TYPES as JSON_TYPES
from gateway.adapters.sparkplug.topics import Node
from gateway.checks import check_numbers, check_positions, check_type, validated
from muster.device import Device, Tag
from muster.errors import ConfigError

Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^/+#\x00]+$")]
TYPES = JSON_TYPES | {"datetime"}
_UNSCALED = frozenset({"bool", "string", "datetime"})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Model):
    """Where a tag's value stands: a metric by its full name, and, below it, in this order:

    member: names of a template's metrics, each within the one before. column, row: of a dataset, rows from 0.
    index: of an array's element, from 0.
    """

    metric: Annotated[str, Field(min_length=1, max_length=1000)]
    member: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    column: str | None = None
    row: Annotated[int, Field(ge=0, lt=100_000)] | None = None
    index: Annotated[int, Field(ge=0, lt=100_000)] | None = None

    @property
    def plain(self) -> bool:
        """Whether the value is the metric's own."""
        return not self.member and self.column is None and self.row is None and self.index is None


class Connection(_Model):
    """Which edge node, or which of its devices, is the device.

    host_id: under which this gateway is a host application at the broker, where its STATE stands; made from the
    gateway's name unless said. Each gateway needs its own. identity: name of a fact (`serial_number`, …) → metric of
    the birth, beside those under `Properties/`. command_by: how a command names its metric: by the alias that the
    birth gave it, as Sparkplug 3.0 demands, or by its name, for equipment that knows names only. reorder_ms: how long
    a message that is missing may still come before a rebirth is asked for. timeout_ms: how long a written metric may
    take to read back.
    """

    broker: BrokerSettings
    host_id: Name | None = None
    group: Name
    edge_node: Name
    device: Name | None = None
    qos: Literal[0, 1] = 1
    identity: Annotated[dict[str, str], Field(max_length=16)] = {}
    command_by: Literal["alias", "name"] = "alias"
    reorder_ms: Annotated[int, Field(ge=0, le=60_000)] = 2000
    timeout_ms: Annotated[int, Field(ge=100, le=25_000)] = 5000

    @property
    def node(self) -> Node:
        """The edge node."""
        return Node(self.group, self.edge_node)


@dataclass(frozen=True, slots=True)
class Place:
    """A tag with its address; direct: a finite floating point value needs no conversion.

    bare: both, so that such a value of a metric is the tag's as it stands.
    """

    tag: Tag
    address: Address
    plain: bool
    direct: bool
    bare: bool


@dataclass(frozen=True, slots=True)
class Understood:
    """A device's document, checked; `places`: metric's name → the tags in it."""

    connection: Connection
    places: dict[str, list[Place]]


def endpoint(connection: BaseModel) -> str:
    """Return a text equal for two devices iff they are the same edge node or device at the same broker."""
    assert isinstance(connection, Connection)
    below = "" if connection.device is None else f"/{connection.device}"
    return f"{connection.broker.text}/{connection.group}/{connection.edge_node}{below}"


def check(device: Device) -> None:
    """Check a device's document whole. Raises ConfigError naming the field."""
    understand(device)


def understand(device: Device) -> Understood:
    """Return what a device's document means. Raises ConfigError naming the field."""
    connection = validated(Connection, device.connection, "connection")
    if connection.broker.share is not None:
        raise ConfigError("connection.broker.share: a host application must hear every message itself")
    if not math.isfinite(device.interval_s) or device.interval_s <= 0:
        raise ConfigError(f"interval_s: {device.interval_s} is not above 0")
    if not device.tags:
        raise ConfigError("tags: a device without tags has nothing to map")
    check_positions(device.tags)
    places: dict[str, list[Place]] = {}
    for tag in device.tags:
        address = validated(Address, tag.address, f"tags[{tag.name}].address")
        _check(tag, address, f"tags[{tag.name}]")
        direct = tag.type == "float64" and tag.scale == 1 and tag.offset == 0
        places.setdefault(address.metric, []).append(
            Place(tag, address, address.plain, direct, address.plain and direct)
        )
    return Understood(connection, places)


def _check(tag: Tag, address: Address, where: str) -> None:
    check_type(tag, TYPES, where)
    check_numbers(tag, _UNSCALED, where)
    if address.row is not None and address.column is None:
        raise ConfigError(f"{where}.address.row: goes with column")
    if address.column is not None and address.index is not None:
        raise ConfigError(f"{where}.address.index: a dataset holds no arrays")
    if tag.writable and not address.plain:
        raise ConfigError(f"{where}.writable: only a whole metric can be written")
