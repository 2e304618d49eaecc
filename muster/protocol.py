"""What the platform's upper half knows of a protocol: its name, its family, how a device of it is checked.

`deploy` makes these from the gateway's rooms, so that the device book and the counting neither import a room
nor load a vendor library.
"""

from collections.abc import Callable
from dataclasses import dataclass

from muster.device import Device, ReportMode


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """One protocol of this installation.

    name: the word in a device's `protocol`; family: what is counted (DESIGN §4).
    validate: checks a device's `connection` and tags, and returns its endpoint, a text that is equal for two
    devices iff they share one process address space. It raises ConfigError, whose text begins with the dotted
    name of the field and a colon: `connection.port: …`, `tags[speed].address.register: …`.
    report_mode: what a model has whose document does not say how its devices report.
    """

    name: str
    family: str
    validate: Callable[[Device], str]
    report_mode: ReportMode = ReportMode.POLLED
