"""What a Modbus device's `connection` and a tag's `address` may say, and what both mean together.

Everything here is data: no socket and no library is touched. Unknown keys are refused, units stand in the names,
and what spans several fields (a tag's type against its table, an address against its window) is checked in
`understand`, which the room and the ledger's import both use, so that a wrong document is refused by the same words.
"""

import ipaddress
import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.checks import check_numbers, check_positions, check_type, validated
from muster.device import Device, Tag
from muster.errors import ConfigError

Table = Literal["holding", "input", "coil", "discrete"]
Order = Literal["big", "little"]
Register = Annotated[int, Field(ge=0, le=65535)]
BIT_TABLES = frozenset({"coil", "discrete"})

WIDTHS: dict[str, int] = {
    "bool": 1,
    "bit": 1,
    "int16": 1,
    "uint16": 1,
    "bcd16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "bcd32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
    "string": 0,
}
"""Registers that a value of each type takes; 0 where the address says it."""
TYPES = frozenset(WIDTHS)
_UNSCALED = ("bool", "bit", "string")
SLOT_S = 0.05
"""The grain of all polling, in seconds."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(_Model):
    """Where a tag's value stands.

    register: counted from 0 as in the protocol, relative to the device's window; for coils the coil's number.
    bit: within the register, 0 the least significant, after `byte_order` was undone.
    word_order, byte_order: `big` is the standard's: most significant register, and byte within it, first.
    length: registers that a string takes. absent: the raw unsigned value by which the device says that it has no
    value for this tag, such as SunSpec's 0x8000; for a string, 0 means all zero bytes.
    """

    table: Table = "holding"
    register_: Register = Field(alias="register")
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    word_order: Order = "big"
    byte_order: Order = "big"
    length: Annotated[int, Field(ge=1, le=125)] | None = None
    encoding: Literal["ascii", "utf-8", "gb18030"] = "utf-8"
    absent: Annotated[int, Field(ge=0, lt=2**64)] | None = None


class Window(_Model):
    """The registers of one of several devices behind one unit; tag addresses count from `start`."""

    start: Register
    length: Annotated[int, Field(ge=1, le=65536)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start + self.length > 65536:
            raise ValueError("the window ends beyond register 65535")
        return self


class Hole(_Model):
    """Registers that must not be read, not even along with others; counted like tag addresses."""

    table: Table
    start: Register
    length: Annotated[int, Field(ge=1, le=65536)]


class Limits(_Model):
    """How much one request may ask for.

    max_gap: registers (or bits) without a tag that may be read along to save a request; a device that refuses
    such a read is asked without gaps from then on.
    """

    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    max_bits: Annotated[int, Field(ge=1, le=2000)] = 2000
    max_gap: Annotated[int, Field(ge=0, le=124)] = 16
    holes: tuple[Hole, ...] = ()


class Serial(_Model):
    """A serial line. The defaults are those of the standard (Modbus over Serial Line V1.02, 2.5.1)."""

    port: Annotated[str, Field(min_length=1)]
    baud_rate: Annotated[int, Field(ge=300, le=4_000_000)] = 19200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1


class Tls(_Model):
    """Modbus/TCP Security. The server's certificate is always checked, against `ca_file` when given.

    server_name: the name its certificate must carry, when that is not the host.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self


class SunSpecIdentity(_Model):
    """The device's nameplate is SunSpec model 1; `register` is where "SunS" stands, not relative to a window."""

    kind: Literal["sunspec"]
    register_: Register = Field(40000, alias="register")


class NameplateField(_Model):
    """Where one text of a nameplate stands; `register` is relative to the device's window."""

    table: Literal["holding", "input"] = "holding"
    register_: Register = Field(alias="register")
    type: Literal["string", "uint16", "uint32"] = "string"
    length: Annotated[int, Field(ge=1, le=125)] = 16
    byte_order: Order = "big"
    word_order: Order = "big"


class RegisterIdentity(_Model):
    """The device's nameplate stands in registers: name of the fact (`serial_number`, `vendor`, …) → where."""

    kind: Literal["registers"]
    fields: Annotated[dict[str, NameplateField], Field(min_length=1, max_length=16)]


class Connection(_Model):
    """How a device is reached.

    timeout_ms: how long one answer may take. device_identification: whether function 43/14 is asked once per
    session; a device that does not know it loses nothing but one refused request.
    """

    transport: Literal["tcp", "rtu_over_tcp", "tls", "rtu"] = "tcp"
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    serial: Serial | None = None
    tls: Tls | None = None
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    window: Window | None = None
    timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 1000
    connect_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 3000
    backoff_max_s: Annotated[float, Field(ge=0.1, le=600)] = 15.0
    limits: Limits = Limits()
    device_identification: bool = True
    identity: Annotated[SunSpecIdentity | RegisterIdentity, Field(discriminator="kind")] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.transport == "rtu":
            if self.serial is None or self.host is not None or self.port is not None:
                raise ValueError("transport rtu needs serial, and neither host nor port")
            if not 1 <= self.unit <= 247:
                raise ValueError("unit: a serial line has units 1 to 247")
        elif self.host is None or not self.host.strip() or self.serial is not None:
            raise ValueError(f"transport {self.transport} needs host, and no serial")
        if self.tls is not None and self.transport != "tls":
            raise ValueError("tls: only with transport tls")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """The host and port, or the serial port and 0: what the line's users share."""
        if self.serial is not None:
            return self.serial.port, 0
        assert self.host is not None
        return self.host.strip().lower(), self.port or (802 if self.transport == "tls" else 502)

    @property
    def line(self) -> "LineSettings":
        """What must be equal for all devices on one line."""
        host, port = self.address
        return LineSettings(self.transport, host, port, self.serial, self.tls)


@dataclass(frozen=True, slots=True)
class LineSettings:
    """One TCP connection or serial line, as its transport needs it."""

    transport: Literal["tcp", "rtu_over_tcp", "tls", "rtu"]
    host: str
    port: int
    serial: Serial | None
    tls: Tls | None

    @property
    def text(self) -> str:
        """The line as people write it."""
        return self.host if self.serial is not None else _joined(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Place:
    """A tag understood: `start` is the register or coil in the protocol's own count, the window included."""

    tag: Tag
    address: Address
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Understood:
    """A device's document, checked: nothing in it can surprise the room later."""

    connection: Connection
    places: tuple[Place, ...]


def endpoint(connection: BaseModel) -> str:
    """Return a text equal for two devices iff they share one process address space.

    The transport is left out: a host's port is one endpoint whichever framing is spoken to it.
    """
    assert isinstance(connection, Connection)
    host, port = connection.address
    place = host if connection.serial is not None else _joined(host, port)
    window = "" if connection.window is None else f"[{connection.window.start}+{connection.window.length}]"
    return f"{place}/{connection.unit}{window}"


def check(device: Device) -> None:
    """Check a device's document whole. Raises ConfigError naming the field."""
    understand(device)


def understand(device: Device) -> Understood:
    """Return what a device's document means.

    Raises:
        ConfigError: names the field, such as `tags[speed].address.bit`, and what is wrong with it.
    """
    connection = validated(Connection, device.connection, "connection")
    if not math.isfinite(device.interval_s) or device.interval_s < SLOT_S:
        raise ConfigError(f"interval_s: {device.interval_s} is below {SLOT_S}, the shortest")
    if not device.tags:
        raise ConfigError("tags: a device without tags cannot be polled")
    places = tuple(_place(tag, connection) for tag in sorted(device.tags, key=lambda tag: tag.position))
    check_positions(device.tags)
    return Understood(connection, places)


def _place(tag: Tag, connection: Connection) -> Place:
    where = f"tags[{tag.name}]"
    address = validated(Address, tag.address, f"{where}.address")
    check_type(tag, TYPES, where)
    bits = address.table in BIT_TABLES
    if bits and tag.type != "bool":
        raise ConfigError(f"{where}.type: a {address.table} holds bool, not {tag.type}")
    if (address.bit is not None) != (tag.type == "bit") and not (tag.type == "bool" and not bits):
        raise ConfigError(f"{where}.address.bit: goes with type bit (or bool in a register), and only there")
    if (address.length is not None) != (tag.type == "string"):
        raise ConfigError(f"{where}.address.length: the registers of a string, and of nothing else")
    width = address.length or WIDTHS[tag.type]
    if address.word_order == "little" and (tag.type == "string" or width == 1):
        raise ConfigError(f"{where}.address.word_order: only for values of 2 or 4 registers")
    if address.absent is not None:
        most = 0 if tag.type == "string" else 2 ** (16 * width) - 1
        if address.bit is not None or bits or address.absent > most:
            raise ConfigError(f"{where}.address.absent: {address.absent} is no raw value of type {tag.type}")
    start = address.register_
    if connection.window is not None:
        if start + width > connection.window.length:
            raise ConfigError(f"{where}.address.register: ends beyond the device's window")
        start += connection.window.start
    if start + width > 65536:
        raise ConfigError(f"{where}.address.register: ends beyond register 65535")
    if not bits and width > connection.limits.max_registers:
        raise ConfigError(f"{where}.type: takes {width} registers, more than connection.limits.max_registers")
    for hole in connection.limits.holes:
        ends_behind = hole.start < address.register_ + width
        if hole.table == address.table and ends_behind and address.register_ < hole.start + hole.length:
            raise ConfigError(f"{where}.address.register: lies in a hole of connection.limits.holes")
    check_numbers(tag, _UNSCALED, where)
    if tag.writable and address.table in ("input", "discrete"):
        raise ConfigError(f"{where}.writable: a {address.table} cannot be written")
    return Place(tag, address, start, width)


def _joined(host: str, port: int) -> str:
    try:
        return f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"
    except ValueError:
        return f"{host}:{port}"
