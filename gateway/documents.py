"""Device documents as the bus delivers them: decoding, checking, and the copy kept on disk."""

import re

import msgspec

from bus import subjects
from gateway.outbox.folder import Folder
from muster.device import MOST_POSITIONS, Device
from muster.errors import Rejected

_decode = msgspec.json.Decoder(Device).decode
_FILE = "documents.json"
_PLACE = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")
_NAMED = re.compile(r"(unknown|missing required) field `(?P<field>[^`]*)`")


class BadDocument(Rejected):
    """A document that cannot be used; `field` names what is wrong in it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


def number_in(key: str, gateway: int) -> int | None:
    """Return the device number in a key of this gateway, or None when it is not a key of a device."""
    number = key.removeprefix(subjects.device_keys(gateway).removesuffix(">"))
    return int(number) if number != key and number.isdecimal() and len(number) < 10 else None


def decode(number: int, document: bytes) -> Device:
    """Return the device in `document`. Raises BadDocument."""
    try:
        device = _decode(document)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        named = _NAMED.search(str(error))
        field = ".".join(match["field"] for match in (place, named) if match and match["field"])
        raise BadDocument(field, _PLACE.sub("", str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument("", str(error)) from error
    if device.number != number:
        raise BadDocument("number", f"is {device.number} under the key of device {number}")
    if not device.interval_s > 0:
        raise BadDocument("interval_s", "is not above 0")
    positions: set[int] = set()
    for tag in device.tags:
        if not 1 <= tag.position <= MOST_POSITIONS:
            raise BadDocument(f"tags.{tag.name}.position", f"is not between 1 and {MOST_POSITIONS}")
        if tag.position in positions:
            raise BadDocument(f"tags.{tag.name}.position", f"{tag.position} is another tag's, too")
        positions.add(tag.position)
    return device


class Copy:
    """The last known documents on disk, so that a gateway starts without the platform."""

    def __init__(self, folder: Folder, gateway: int) -> None:
        self._folder = folder
        self._gateway = gateway

    def load(self) -> dict[int, bytes]:
        """Return the documents by device number; none when there is no copy, or it is another gateway's.

        Raises:
            Rejected: the copy cannot be read; the bus will give the documents again.
        """
        try:
            content = (self._folder.path / _FILE).read_bytes()
            kept = msgspec.json.decode(content, type=_Kept)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Rejected(f"{self._folder.path / _FILE}: {error}") from error
        return kept.documents if kept.gateway == self._gateway else {}

    def save(self, documents: dict[int, bytes]) -> None:
        """Replace the copy, durable. Raises OSError."""
        self._folder.replace(_FILE, msgspec.json.encode(_Kept(self._gateway, documents)))


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    gateway: int
    documents: dict[int, bytes]
