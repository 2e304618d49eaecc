"""What a simulated machine says it is: never anything but a simulator or a replay.

Twice the same words: as Modbus device identification (function 0x2B/0x0E), which a unit has one of, and as a
block of holding registers, of which every register window has its own. The block has the layout of SunSpec's
marker and common model 1, so that any SunSpec client can read it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from muster import __version__

BLOCK_REGISTER = 100
"""Where the identity block begins, relative to a device's window."""
BLOCK_LENGTH = 70
ORIGIN_OBJECT = 0x80
"""A private object of the device identification that holds the origin as a word."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One machine's, or one PLC's, statement about itself."""

    origin: Literal["simulated", "replayed"]
    product_code: str
    product_name: str
    model_name: str
    serial_number: str

    @property
    def vendor(self) -> str:
        """The vendor's name, which alone tells that no real machine answers."""
        return "Muster Simulator" if self.origin == "simulated" else "Muster Replay"

    @property
    def facts(self) -> dict[str, str]:
        """What a message says of it."""
        return {"vendor": self.vendor, "model": self.model_name, "serial_number": self.serial_number}

    def objects(self) -> dict[int, bytes]:
        """Return the objects of the device identification (Application Protocol V1.1b3, clause 6.21)."""
        texts = {
            0x00: self.vendor,
            0x01: self.product_code,
            0x02: f"V{__version__}",
            0x04: self.product_name,
            0x05: self.model_name,
            0x06: self.serial_number,
            ORIGIN_OBJECT: self.origin,
        }
        return {number: text.encode("ascii") for number, text in texts.items()}

    def block(self) -> NDArray[np.uint16]:
        """Return (70,) >u2 registers: "SunS", model 1, length 66, then Mn, Md, Opt, Vr, SN, DA and a pad."""
        head = b"SunS" + (1).to_bytes(2, "big") + (66).to_bytes(2, "big")
        fields = (
            (self.vendor, 32),
            (self.product_code, 32),
            (self.origin, 16),
            (f"V{__version__}", 16),
            (self.serial_number, 32),
        )
        texts = b"".join(text.encode("ascii")[:length].ljust(length, b"\0") for text, length in fields)
        return np.frombuffer(head + texts + b"\0\0\x80\0", ">u2")
