"""One machine as equipment sees it that speaks of values and not of registers: a span of the fleet's image."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from muster.errors import RequestError
from simulators.machines.points import Kind, Point, from_registers, to_registers
from simulators.modbus.identity import Identity
from simulators.modbus.units import Image


@dataclass(frozen=True, slots=True)
class Machine:
    """code: of the device; base: the first register of its span of the image."""

    code: str
    kind: Kind
    identity: Identity
    image: Image
    base: int

    def payload(self, now_ms: int) -> dict[str, Any]:
        """Return what it publishes: its time, its values in engineering units, and what it is."""
        return {
            "ts": now_ms,
            "values": {point.name: self.value(point) for point in self.kind.points},
            "device": self.identity.facts,
        }

    def obey(self, command: bytes) -> bytes:
        """Set the point that a command names and return the answer.

        Raises:
            RequestError: the command is none, or the point cannot be set.
        """
        try:
            asked = json.loads(command)
            name, value, number = asked["tag"], float(asked["value"]), asked["id"]
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"no command: {error}", code="simulator-bad-order") from error
        point = next((point for point in self.kind.settings if point.name == name), None)
        if point is None or not np.isfinite(value):
            raise RequestError(f"{name} cannot be set", code="simulator-bad-order")
        self.set(point, value)
        return json.dumps({"id": number, "ok": True}).encode()

    def value(self, point: Point) -> float | bool:
        """Return what a point measures, or holds, in engineering units."""
        image, at = self.image, self.base + point.register
        if point.table in ("coil", "discrete"):
            return bool(image.bits[0 if point.table == "coil" else 1, at])
        words = image.words[0 if point.table == "holding" else 1, at : at + point.width]
        if point.bit is not None:
            return bool(words[0] >> point.bit & 1)
        return round(float(from_registers(point, words[None, :], self.kind.word_order)[0]), 6)

    def set(self, point: Point, value: float) -> None:
        """Set a writable point, in engineering units."""
        image, at = self.image, self.base + point.register
        if point.table == "coil":
            image.bits[0, at] = value > 0.5
        elif point.bit is not None:
            mask = np.uint16(1 << point.bit)
            image.words[0, at] = image.words[0, at] & ~mask | (mask if value > 0.5 else np.uint16(0))
        else:
            cells = slice(at, at + point.width)
            image.words[0, cells] = to_registers(point, np.array([value]), self.kind.word_order)[0]
