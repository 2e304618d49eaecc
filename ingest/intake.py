"""One message from the stream: is it the gateway's, whole, and about what the gateway may speak of?

The signature is checked before anything of the body is decoded. What fails is `Refused` with a reason (a key
of the catalogue) and goes to quarantine; nothing here knows the database.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bus import envelope, subjects
from bus.envelope import Batch, Header
from ingest.registry import Registry
from muster.clock import EARLIEST_US, LATEST_US
from muster.errors import Rejected
from muster.events import Event, TextReading
from muster.quality import Quality
from muster.scans import How

_HOWS = len(How)
_CLOCK = ("offset_us", "accuracy_us")
_MOST_COUNT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lies in the stream."""

    stream_sequence: int
    subject: str
    body: bytes
    signature: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that may be stored."""

    message: Message
    batch: Batch
    sha256: bytes
    signature: bytes


class Refused(Rejected):
    """A batch that may not be stored; `header` is given when its signature is the gateway's."""

    def __init__(
        self,
        reason: str,
        detail: dict[str, Any] | None = None,
        header: Header | None = None,
        *,
        unknown: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or {}
        self.header = header
        self.unknown = unknown
        """Whether a newer registry might know better."""


@dataclass(slots=True)
class Intake:
    """Checks the messages of one partition."""

    registry: Registry
    partition: int
    stride: int = field(default=subjects.PARTITIONS)
    _passed: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """By gateway: the registry's version and the shape of the last batch whose devices and positions were looked up."""

    def check(self, message: Message) -> Accepted:
        """Return what may be stored of `message`.

        Raises:
            Refused: why not.
        """
        gateway = self._gateway(message.subject)
        signature = self._verify(message, gateway)
        try:
            batch = envelope.decode(message.body)
        except (Rejected, RecursionError, OverflowError) as error:
            raise Refused("undecodable", {"error": _visible(str(error))}, _header_of(message.body)) from error
        header = batch.header
        if header.gateway != gateway or header.partition != self.partition:
            raise Refused("not-its-subject", {"subject": message.subject})
        self._check_header(header)
        self._check_scans(batch)
        self._check_events(header)
        sha256 = hashlib.sha256(message.body).digest()
        return Accepted(message, replace(batch, header=_storable(header)), sha256, signature)

    def _gateway(self, subject: str) -> int:
        gateway = gateway_named(subject)
        if subject != subjects.batch(self.partition, gateway):
            raise Refused("not-its-subject", {"subject": subject})
        if gateway not in self.registry.gateways:
            raise Refused("gateway-unknown", {"gateway": gateway}, unknown=True)
        return gateway

    def _verify(self, message: Message, gateway: int) -> bytes:
        for key in self.registry.gateways[gateway].keys:
            try:
                return envelope.verify(message.body, message.signature, key)
            except Rejected:
                continue
        raise Refused("signature-wrong", {"gateway": gateway}, unknown=True)

    def _check_header(self, header: Header) -> None:
        instants = (header.watched_from, header.watched_until, header.sealed_at)
        if not (0 < header.sequence <= _MOST_COUNT and 0 <= header.epoch <= _MOST_COUNT):
            raise Refused("name-out-of-range", {}, None)
        if not all(EARLIEST_US <= instant <= LATEST_US for instant in instants):
            raise Refused("time-out-of-range", {"where": "header"}, header)
        if header.watched_until < header.watched_from:
            raise Refused("watch-backwards", {}, header)

    def _check_scans(self, batch: Batch) -> None:
        scans, header = batch.scans, batch.header
        if not len(scans):
            return
        shape = b"".join((scans.device.tobytes(), scans.first.tobytes(), scans.offsets.tobytes()))
        if self._passed.get(header.gateway) != (self.registry.version, shape):
            self._check_devices(scans.device, header)
            self._check_positions(batch)
            self._passed[header.gateway] = (self.registry.version, shape)
        for name in ("time", "received"):
            column = getattr(scans, name)
            if column.min() < EARLIEST_US or column.max() > LATEST_US:
                odd = (column < EARLIEST_US) | (column > LATEST_US)
                detail = {"where": name, "device": int(scans.device[int(np.argmax(odd))])}
                raise Refused("time-out-of-range", detail, header)
        if scans.how.max() >= _HOWS:
            raise Refused("undecodable", {"error": "how a scan came is not known"}, header)

    def _check_positions(self, batch: Batch) -> None:
        scans = batch.scans
        last = scans.first.astype(np.int64) + np.diff(scans.offsets) - 1
        beyond = last > self.registry.positions[scans.device]
        if beyond.any():
            index = int(np.argmax(beyond))
            detail = {"device": int(scans.device[index]), "position": int(last[index])}
            raise Refused("position-unknown", detail, batch.header, unknown=True)

    def _check_events(self, header: Header) -> None:
        numbers = [event.device for event in header.events if event.device != 0]
        numbers += [text.device for text in header.texts]
        if any(not 0 < number < 2**31 for number in numbers):
            raise Refused("device-unknown", {}, header)
        if numbers:
            self._check_devices(np.array(numbers, np.int32), header)
        for text in header.texts:
            if not 0 < text.position <= self.registry.positions[text.device]:
                detail = {"device": text.device, "position": text.position}
                raise Refused("position-unknown", detail, header, unknown=True)
            if not (EARLIEST_US <= text.time <= LATEST_US and EARLIEST_US <= text.received <= LATEST_US):
                raise Refused("time-out-of-range", {"where": "text", "device": text.device}, header)
            if not -(2**15) <= text.quality < 2**15:
                raise Refused("undecodable", {"error": "a quality out of range"}, header)
        for event in header.events:
            until = event.at if event.until is None else event.until
            if not (EARLIEST_US <= event.at <= LATEST_US and EARLIEST_US <= until <= LATEST_US):
                raise Refused("time-out-of-range", {"where": event.kind, "device": event.device}, header)
            if event.polls is not None and not 0 <= event.polls <= _MOST_COUNT:
                raise Refused("undecodable", {"error": "polls out of range"}, header)
            if event.origin not in (None, "real", "unknown", "replayed", "simulated"):
                raise Refused("undecodable", {"error": "an origin that is none"}, header)
            if event.kind == "clock" and not all(_is_span(event.detail.get(key)) for key in _CLOCK):
                raise Refused("undecodable", {"error": "a clock without its offset in µs"}, header)

    def _check_devices(self, device: NDArray[np.int32], header: Header) -> None:
        strangers = self.registry.strangers(header.gateway, device)
        if len(strangers):
            detail = {"gateway": header.gateway, "device": int(strangers[0])}
            raise Refused("device-unknown", detail, header, unknown=True)
        astray = device % self.stride != self.partition
        if astray.any():
            raise Refused("not-its-partition", {"device": int(device[int(np.argmax(astray))])}, header)


def _is_span(value: object) -> bool:
    """Tell whether this is a number of µs that lies between two times."""
    return type(value) is int and abs(value) <= LATEST_US - EARLIEST_US


def gateway_named(subject: str) -> int:
    """Return the gateway's number at the end of a subject; 0 when there is none."""
    number = subject.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _header_of(body: bytes) -> Header | None:
    try:
        return envelope.decode_header(body)
    except (Rejected, RecursionError):
        return None


def _storable(header: Header) -> Header:
    """Return the header with every NUL, which PostgreSQL's text cannot hold, made visible.

    A text reading that held one is no longer what the device said, so it is marked undecodable.
    """
    if b"\\u0000" not in msgspec.json.encode((header.texts, header.events)):
        return header
    return msgspec.structs.replace(
        header,
        texts=[_storable_text(text) for text in header.texts],
        events=[_storable_event(event) for event in header.events],
    )


def _storable_text(text: TextReading) -> TextReading:
    if "\0" not in text.value:
        return text
    quality = max(text.quality, int(Quality.UNDECODABLE))
    return msgspec.structs.replace(text, value=_visible(text.value), quality=quality)


def _storable_event(event: Event) -> Event:
    return msgspec.structs.replace(event, reason=_visible(event.reason), detail=_deep(event.detail))


def _deep(value: Any) -> Any:
    if isinstance(value, str):
        return _visible(value)
    if isinstance(value, dict):
        return {_visible(key): _deep(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item) for item in value]
    return value


def _visible(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
