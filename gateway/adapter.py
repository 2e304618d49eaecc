"""The contract between the gateway and a protocol's room under `gateway/adapters/`.

A room is one folder whose package defines `DESCRIPTION: Description`. The gateway finds it by looking,
nothing is registered twice. A room owns its sessions, timeouts and backoff: a slow, dead or lying device
never delays another. It reports only through its `Sink`, and it sets the origin and the receive time.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

import gateway.adapters
from muster.clock import Clock
from muster.device import Device, ReportMode
from muster.errors import RequestError
from muster.events import Event, TextReading
from muster.scans import How


class Sink(Protocol):
    """Where a room puts what it acquires. All calls are quick, never block and never fail."""

    def scan(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        """Put one scan: times in µs since 1970, `first` from 1, (k,) values and qualities or None if Good."""
        ...

    def good(self, device: int, time: int, received: int, first: int, value: bytes, how: How) -> None:
        """Put one scan of which every value is Good: `value` holds float64, as the bytes of an array."""
        ...

    def rows(
        self,
        devices: Sequence[int],
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        how: How,
    ) -> None:
        """Put one scan of each of n devices, every value Good: `value` is (n, k), otherwise as `scan`."""
        ...

    def text(self, reading: TextReading) -> None:
        """Put one text reading."""
        ...

    def event(self, event: Event) -> None:
        """Put one event."""
        ...

    def lull(self) -> None:
        """Say that nothing more is expected for the moment: a good time to write down what was put."""
        ...

    @property
    def full(self) -> bool:
        """Whether the outbox is full: a room then stops acquiring; the gateway records the gap."""
        ...

    def mark(self) -> int | None:
        """Return the number of the slot that now collects; it rises, also over restarts of the gateway.

        None: nothing is kept now, so what came must not be acknowledged to its source.
        """
        ...

    @property
    def sealed(self) -> int:
        """The newest slot that is durable: everything put while `mark` gave this number, or less, is."""
        ...

    def watch_sealed(self, told: Callable[[int], None]) -> Callable[[], None]:
        """Have `told` called in the event loop with each new `sealed`; returns what ends it."""
        ...

    def watch_cut(self, told: Callable[[], bool]) -> Callable[[], None]:
        """Have `told` called before what was put goes where it may become durable; returns what ends it.

        As long as it returns False nothing goes there, and rooms are told to stop.
        """
        ...


@dataclass(frozen=True, slots=True)
class Value:
    """One tag's answer to a fresh read or a read-back; times in µs since 1970.

    value: the engineering value, text, or None when the device gave none; raw: its bytes as hex.
    """

    position: int
    value: float | str | None
    quality: int
    time: int
    received: int
    raw: str = ""


@dataclass(slots=True)
class Diagnostics:
    """Counters of one device since its watch began here; latencies in ms, times in µs since 1970."""

    session: str = "down"
    polls: int = 0
    answers: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    last_good: int | None = None
    last_error: str = ""
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    identity: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a room is given beside its sink: the gateway it works in, and a folder of its own.

    folder: kept over restarts, private to the gateway; a room makes it when it first needs it.
    """

    gateway: int
    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that equipment offers, ready to become a tag.

    path: where it stands, for people, such as `Pump-1/Temperature`; group: what belongs together, such as the object
    or topic that one device would be; type, address, unit: as in a tag's document; value: what it showed;
    note: a catalogue key that says what is odd about it.
    """

    path: str
    name: str
    type: str
    address: dict[str, Any]
    group: str = ""
    unit: str = ""
    writable: bool = False
    value: float | str | None = None
    interval_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that equipment showed, and what was decided about it.

    thumbprint: SHA-1 of its DER form, upper-case hex, as OPC UA tools show it; sha256: for people who compare more.
    state: `waiting`, `trusted` or `refused`; times in µs since 1970.
    """

    thumbprint: str
    sha256: str
    subject: str
    issuer: str
    uri: str
    hosts: list[str]
    not_before: int
    not_after: int
    state: str
    endpoint: str
    seen: int


class Room(Protocol):
    """A protocol at work in one gateway process. Created inside the gateway's event loop."""

    async def run(self) -> None:
        """Work until cancelled; leaves no session open when it ends."""
        ...

    async def configure(self, devices: Mapping[int, Device]) -> None:
        """Watch exactly `devices`, by number. Devices whose document is unchanged are not disturbed.

        A device whose configuration is wrong gets an `error` event that names the field; the others go on.
        """
        ...

    async def read(self, device: int, positions: list[int]) -> list[Value]:
        """Read now, bypassing every cache. Raises Unavailable, or RequestError for an unknown tag."""
        ...

    async def write(self, device: int, position: int, value: float | str) -> Value:
        """Write one writable tag and return what reads back.

        Raises RequestError when the tag is not writable or the value is outside its limits, Unavailable when
        the device did not confirm.
        """
        ...

    async def browse(self, device: int, search: str) -> list[Found]:
        """Discover what the device offers, of which path or name contains `search`, in any case of letters.

        Raises RequestError where the protocol cannot, saying why.
        """
        ...

    async def discover(self, connection: Mapping[str, Any], search: str, wait_s: float) -> list[Found]:
        """Discover what equipment that is in no device book offers; `connection` as in a device's document.

        wait_s: how long to listen where equipment speaks unasked. Raises ConfigError naming the field,
        Unavailable, or RequestError where the protocol cannot.
        """
        ...

    def certificates(self) -> list[Certificate]:
        """Return the certificates that equipment showed; empty where the protocol has none."""
        ...

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Trust or refuse a certificate from now on. Raises RequestError for an unknown one."""
        ...

    def diagnostics(self, device: int) -> Diagnostics:
        """Return the device's counters. Raises KeyError when it is not watched."""
        ...


class WithoutCertificates:
    """What a room answers whose equipment is checked against authorities, not certificate by certificate."""

    def certificates(self) -> list[Certificate]:
        """Return none."""
        return []

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Refuse: there are none to decide on."""
        raise RequestError(f"no certificate {thumbprint}", status=404, code="unknown-certificate")


@dataclass(frozen=True, slots=True)
class Description:
    """What the rest of the platform must know of a protocol, without its library being loaded.

    name: the folder and the word in a device's `protocol`; family: what is counted (DESIGN §4).
    connection, address: the models of a device's `connection` and a tag's `address`; unknown keys refused.
    types: the tag types it decodes. endpoint: a text equal for two devices iff they share one process address
    space (same host, port and unit). create: makes the room.
    """

    name: str
    family: str
    connection: type[BaseModel]
    address: type[BaseModel]
    types: frozenset[str]
    endpoint: Callable[[BaseModel], str]
    create: Callable[[Sink, Clock, Workplace], Room]
    check: Callable[[Device], None] | None = None
    """Checks what spans fields of one device, such as a tag's type and its address; raises ConfigError."""
    report_mode: ReportMode = ReportMode.POLLED
    """What a model has whose document does not say how its devices report."""


@cache
def protocols() -> dict[str, Description]:
    """Return the protocol rooms of this installation, by name."""
    found: dict[str, Description] = {}
    for module in pkgutil.iter_modules(gateway.adapters.__path__):
        description: Description = importlib.import_module(f"gateway.adapters.{module.name}").DESCRIPTION
        found[description.name] = description
    return found
