"""What an MQTT device's `connection` and a tag's `address` may say, and what both mean together.

Everything here is data: no socket is touched. Topic filters and JSONPaths are checked and compiled in `understand`,
which the room and the ledger's import both use.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.adapters.mqtt.mapping import Mapping, Stamp, Target
from gateway.adapters.mqtt.paths import compile_path
from gateway.adapters.mqtt.settings import BrokerSettings
from gateway.adapters.mqtt.topics import check_filter, check_topic
from gateway.adapters.mqtt.values import TYPES
from gateway.checks import check_numbers, check_positions, check_type, validated
from muster.device import Device, Tag
from muster.errors import ConfigError

Qos = Literal[0, 1, 2]
TAG = "{tag}"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Command(_Model):
    """How a tag is written: what is published where, and how the device confirms.

    payload: `{value}` becomes the value as JSON, `{tag}` the tag's name, `{id}` a number that the answer can repeat.
    response_topic: where the device answers; without one, the tag itself must come with the value written.
    response_path: what must be true, `ok` or the id in that answer; without one, any answer confirms.
    """

    topic: str
    payload: str = "{value}"
    qos: Qos = 1
    retain: bool = False
    response_topic: str | None = None
    response_path: str | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=25_000)] = 5000


class Address(_Model):
    """Where a tag's value stands: a JSONPath in the payloads of the device's topic, or of a topic of its own."""

    path: str = "$"
    topic: str | None = None
    command: Command | None = None


class Timestamp(_Model):
    """Where a payload says when its values were taken; ISO 8601 must name its zone."""

    path: str
    unit: Literal["iso", "s", "ms", "us", "ns"] = "iso"


class Payload(_Model):
    """What a payload looks like.

    format: `text` takes the whole payload for one text. records: a JSONPath to records that each are a payload of their
    own, with their own timestamps, for devices that publish several at once. timestamp: within a record.
    """

    format: Literal["json", "text"] = "json"
    timestamp: Timestamp | None = None
    records: str | None = None
    max_bytes: Annotated[int, Field(ge=16, le=16 << 20)] = 256 << 10


class Status(_Model):
    """Where the device, its will or its broker says whether it has a session.

    word: `payload`, whose text (or the value at `path`) is `online` or `offline`; or `topic`, whose last level is, as
    brokers tell of their clients.
    """

    topic: str
    word: Literal["payload", "topic"] = "payload"
    path: str | None = None
    online: str = "online"
    offline: str = "offline"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.word == "topic" and self.path is not None:
            raise ValueError("path finds a word in a payload, and word: topic reads none")
        return self


class Connection(_Model):
    """How a device speaks.

    topic: a filter, or with `{tag}` in it one topic for each tag. heartbeat: a topic that shows the device is alive and
    bears no values. identity: name of a fact (`serial_number`, `vendor`, …) → JSONPath. command: for writable tags
    that have none of their own.
    """

    broker: BrokerSettings
    topic: str
    qos: Qos = 1
    payload: Payload = Payload()
    status: Status | None = None
    heartbeat: str | None = None
    identity: Annotated[dict[str, str], Field(max_length=16)] = {}
    command: Command | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_filter(self.topic.replace(TAG, "tag"), "connection.topic")
        if self.status is not None:
            check_filter(self.status.topic, "connection.status.topic")
        if self.heartbeat is not None:
            check_filter(self.heartbeat, "connection.heartbeat")
        return self


@dataclass(frozen=True, slots=True)
class Understood:
    """A device's document, checked; `mappings`: topic filter → what its payloads hold."""

    connection: Connection
    mappings: dict[str, Mapping]
    commands: dict[int, Command]

    @property
    def filters(self) -> list[str]:
        """Every topic filter of the device."""
        more = [command.response_topic for command in self.commands.values()]
        status = self.connection.status.topic if self.connection.status else None
        named = [*self.mappings, status, self.connection.heartbeat, *more]
        return list(dict.fromkeys(name for name in named if name))


def endpoint(connection: BaseModel) -> str:
    """Return a text equal for two devices iff they are the same topics of one broker."""
    assert isinstance(connection, Connection)
    return f"{connection.broker.text}/{connection.topic}"


def check(device: Device) -> None:
    """Check a device's document whole. Raises ConfigError naming the field."""
    understand(device)


def understand(device: Device) -> Understood:
    """Return what a device's document means. Raises ConfigError naming the field."""
    connection = validated(Connection, device.connection, "connection")
    if not math.isfinite(device.interval_s) or device.interval_s <= 0:
        raise ConfigError(f"interval_s: {device.interval_s} is not above 0")
    if not device.tags:
        raise ConfigError("tags: a device without tags has nothing to map")
    check_positions(device.tags)
    targets: dict[str, list[Target]] = {}
    commands: dict[int, Command] = {}
    for tag in sorted(device.tags, key=lambda tag: tag.position):
        where = f"tags[{tag.name}]"
        address = validated(Address, tag.address, f"{where}.address")
        targets.setdefault(_topic(connection, tag, address, where), []).append(_target(tag, address, where))
        command = address.command or connection.command
        if tag.writable:
            if command is None:
                raise ConfigError(f"{where}.address.command: a writable tag needs one, or connection.command")
            commands[tag.position] = _named(command, tag, where)
    payload = connection.payload
    stamp = None
    if payload.timestamp is not None:
        path = compile_path(payload.timestamp.path, "connection.payload.timestamp.path")
        stamp = Stamp(path, payload.timestamp.unit)
    records = None if payload.records is None else compile_path(payload.records, "connection.payload.records")
    if payload.format == "text" and (stamp or records or connection.identity):
        raise ConfigError("connection.payload.format: a text has no timestamp, records or identity")
    identity = {
        name: compile_path(path, f"connection.identity.{name}") for name, path in connection.identity.items()
    }
    if connection.status is not None and connection.status.path is not None:
        compile_path(connection.status.path, "connection.status.path")
    mappings = {
        topic: Mapping(here, stamp, records, identity, payload.format == "text", payload.max_bytes)
        for topic, here in targets.items()
    }
    return Understood(connection, mappings, commands)


def _topic(connection: Connection, tag: Tag, address: Address, where: str) -> str:
    if address.topic is not None:
        check_filter(address.topic, f"{where}.address.topic")
        return address.topic
    if TAG in connection.topic:
        topic = connection.topic.replace(TAG, tag.name)
        check_topic(topic, f"{where}.name")
        return topic
    return connection.topic


def _target(tag: Tag, address: Address, where: str) -> Target:
    check_type(tag, TYPES, where)
    check_numbers(tag, ("bool", "string"), where)
    path = compile_path(address.path, f"{where}.address.path")
    return Target(tag.position, tag.type, path, tag.scale, tag.offset)


def _named(command: Command, tag: Tag, where: str) -> Command:
    topic = command.topic.replace(TAG, tag.name)
    response = None if command.response_topic is None else command.response_topic.replace(TAG, tag.name)
    check_topic(topic, f"{where}.address.command.topic")
    if response is not None:
        check_filter(response, f"{where}.address.command.response_topic")
    if command.response_path is not None:
        compile_path(command.response_path, f"{where}.address.command.response_path")
    return command.model_copy(update={"topic": topic, "response_topic": response})
