"""Devices as a gateway is told of them: the document in the bus's key-value store, one key per device.

The protocol's own parts (`connection`, each tag's `address`) stay plain dictionaries here; the adapter's
room validates them with its own model and refuses unknown keys.
"""

from enum import StrEnum
from typing import Any

import msgspec


class Origin(StrEnum):
    """Where a device's data come from, from least to most pessimistic: the most pessimistic word wins."""

    REAL = "real"
    UNKNOWN = "unknown"
    REPLAYED = "replayed"
    SIMULATED = "simulated"

    @property
    def pessimism(self) -> int:
        """The rank by which the worst of several statements is chosen."""
        return list(Origin).index(self)

    @staticmethod
    def worst(*said: "Origin | None") -> "Origin":
        """Return the most pessimistic of what was said; silence says nothing, no statement is unknown."""
        spoken = [origin for origin in said if origin is not None]
        return max(spoken, key=lambda origin: origin.pessimism) if spoken else Origin.UNKNOWN


class ReportMode(StrEnum):
    """How a device's values come (DESIGN §4)."""

    POLLED = "polled"
    PERIODIC = "periodic"
    ON_CHANGE = "on_change"
    SLEEPING = "sleeping"


class DeviceClass(StrEnum):
    """The guideline's four classes of industrial device (annex 1.2): 运行, 加工, 行走, 其他."""

    OPERATING = "operating"
    PROCESSING = "processing"
    MOBILE = "mobile"
    OTHER = "other"


class Tag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One named value of a device.

    position: its fixed index in the device's scans, from 1; never given to another tag.
    type: the value's type in the protocol's own terms, such as `float32` or `uint16`.
    scale, offset: engineering value = raw × scale + offset.
    low, high: limits in engineering units; a write outside them is refused.
    """

    position: int
    name: str
    type: str
    address: dict[str, Any]
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    writable: bool = False
    low: float | None = None
    high: float | None = None


MOST_POSITIONS = 32_767
"""The highest position that a tag can have: a scan is as long as its highest position asks for. Each new meaning of a
tag takes the next, so this bounds all meanings that a device's tags ever had."""


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a gateway must know to watch one device.

    number: the device's number in this installation, the `device` of its scans.
    version: rises with every change of this document.
    interval_s: expected interval between scans, in seconds.
    term: for a gateway of several processes, the lease under which this process holds the device, 0 when the device
    is pinned to it; None: the gateway is one process, and the device is its own.
    free_since: until when the holder before is known to have watched the device, in µs since 1970.
    """

    number: int
    version: int
    code: str
    name: str
    enterprise: int
    protocol: str
    connection: dict[str, Any]
    report_mode: ReportMode
    interval_s: float
    tags: list[Tag]
    term: int | None = None
    free_since: int | None = None
