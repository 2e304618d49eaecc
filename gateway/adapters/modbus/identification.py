"""What a device says it is: function 43/14, SunSpec's common model, or texts in registers.

An identification names a kind of machine, seldom one machine; what follows from it for the origin is only ever
pessimistic: equipment that calls itself a simulator or a replay is taken at its word, nothing makes it real.
"""

from dataclasses import dataclass
from typing import Any

from gateway.adapters.modbus.config import Connection, NameplateField, RegisterIdentity, SunSpecIdentity
from gateway.adapters.modbus.line import Line, ask
from gateway.adapters.modbus.pdu import (
    Refused,
    Silence,
    Violation,
    read,
    read_identification,
)
from gateway.nameplate import origin_in
from muster.errors import Rejected

OBJECTS = {
    0: "vendor",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "user_application_name",
}
"""Objects of the device identification (clause 6.21); what is private has its number for a name."""
SUNSPEC_FIELDS = {
    "vendor": (4, 16),
    "model_name": (20, 16),
    "options": (36, 8),
    "revision": (44, 8),
    "serial_number": (52, 16),
}
"""Of SunSpec model 1: registers behind the "SunS" marker's start, and how many."""
_LONGEST_WALK = 32
_LEVELS = {1: "basic", 2: "regular", 3: "extended"}
_PATIENCE_S = 1.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a device showed. silent: it did not answer function 43 at all, so what it showed before still stands."""

    facts: dict[str, Any]
    silent: bool


async def identify(line: Line, connection: Connection, *, ask_objects: bool = True) -> Evidence:
    """Ask a device for the evidence that it can show.

    ask_objects: whether function 43/14 is asked, where the connection allows it.

    Raises:
        Silence: it does not answer now.
    """
    timeout_s = max(connection.timeout_ms / 1000, _PATIENCE_S)
    facts: dict[str, Any] = {}
    silent = connection.device_identification and not ask_objects
    if connection.device_identification and ask_objects:
        try:
            objects = await _objects(line, connection.unit, timeout_s)
        except Silence:
            # Equipment that does not know the function may stay silent (libmodbus answers after half a second, and
            # throws away what came meanwhile): that says nothing about the rest of the device.
            silent = True
        else:
            if objects:
                facts["device_identification"] = objects
    identity = connection.identity
    try:
        if isinstance(identity, SunSpecIdentity):
            found = await _sunspec(line, connection.unit, identity.register_, timeout_s)
            if found:
                facts["sunspec"] = found
        elif isinstance(identity, RegisterIdentity):
            start = connection.window.start if connection.window else 0
            facts["registers"] = {
                name: await _nameplate(line, connection.unit, field, start, timeout_s)
                for name, field in identity.fields.items()
            }
    except Rejected as error:
        facts["nameplate_error"] = str(error)
    return Evidence(facts, silent)


def origin_of(evidence: dict[str, Any]) -> str | None:
    """Return what the evidence says of the origin: simulated, replayed, or nothing."""
    return origin_in(value for part in evidence.values() for value in _leaves(part))


def _leaves(part: Any) -> list[Any]:
    return list(part.values()) if isinstance(part, dict) else [part]


async def _objects(line: Line, unit: int, timeout_s: float) -> dict[str, str]:
    """Walk the objects level by level, up to the level that the device says it conforms to.

    Raises:
        Silence: it does not answer, not even that it will not.
    """
    found: dict[str, str] = {}
    level, conformity = 1, 1
    while level <= conformity:
        try:
            conformity = await _walk(line, unit, level, timeout_s, found)
        except Silence:
            if not found:
                raise
            break
        except (Refused, Violation):
            break
        level += 1
    if found:
        found["conformity"] = _LEVELS.get(conformity, str(conformity))
    return found


async def _walk(line: Line, unit: int, level: int, timeout_s: float, found: dict[str, str]) -> int:
    """Collect the objects of one level into `found`, reply by reply; return the highest level the device has.

    Application Protocol V1.1b3, clause 6.21. A device that would let us walk in circles is left.
    """
    first, conformity = 0, 1
    for _ in range(_LONGEST_WALK):
        said = await ask(line, read_identification(unit, level, first), timeout_s)
        conformity, more, following, count = said[1] & 0x7F, said[2] == 0xFF, said[3], said[4]
        at = 5
        for _ in range(count):
            if at + 2 > len(said) or at + 2 + said[at + 1] > len(said):
                raise Violation("modbus.wrong-length", got=len(said), wanted=at + 2)
            number, length = said[at], said[at + 1]
            text = said[at + 2 : at + 2 + length].decode("utf-8", "replace").strip("\0 ")
            found[OBJECTS.get(number, f"object_{number}")] = text
            at += 2 + length
        if not more or following <= first:
            break
        first = following
    return min(conformity, 3)


async def _sunspec(line: Line, unit: int, register: int, timeout_s: float) -> dict[str, str]:
    said = await ask(line, read(unit, "holding", register, 70), timeout_s)
    if said[:4] != b"SunS" or int.from_bytes(said[4:6], "big") != 1:
        return {}
    return {
        name: _text(said[2 * start : 2 * (start + length)])
        for name, (start, length) in SUNSPEC_FIELDS.items()
    }


async def _nameplate(line: Line, unit: int, field: NameplateField, start: int, timeout_s: float) -> str:
    count = {"string": field.length, "uint16": 1, "uint32": 2}[field.type]
    said = await ask(line, read(unit, field.table, start + field.register_, count), timeout_s)
    words = [said[at : at + 2] for at in range(0, len(said), 2)]
    if field.byte_order == "little":
        words = [word[::-1] for word in words]
    if field.word_order == "little":
        words.reverse()
    raw = b"".join(words)
    return _text(raw) if field.type == "string" else str(int.from_bytes(raw, "big"))


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
