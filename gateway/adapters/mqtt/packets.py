"""Cutting what a broker sends into packets (MQTT 3.1.1 and 5, chapters 2 and 3.3). Pure.

PUBLISH at QoS 0 and 1, nearly all of the traffic, is decoded here, many to a chunk; every other packet is given as it
came, whole and of a kind that a broker may send, for the library to understand. Of a PUBLISH beyond all bounds only so
much is kept as shows that it is: a broker would deliver it again for ever if its connection were ended instead.
"""

import msgspec

from muster.errors import Rejected

MOST_PAYLOAD_BYTES = (16 << 20) + 1
"""More than any device's `payload.max_bytes`: what lies behind is not kept."""
MOST_PACKET_BYTES = MOST_PAYLOAD_BYTES + (1 << 17)
_MOST_OTHER_BYTES = 1 << 20
_MOST_NAMES = 16_384
_LONGEST_LENGTH = 4
_PUBLISH, _PUBREL = 3, 6
_PLAIN_MASK, _PLAIN = 0xF4, _PUBLISH << 4
"""The bits of a packet's first byte, and their values, that tell a PUBLISH at QoS 0 or 1."""
_FLAGS = {2: 0, 4: 0, 5: 0, _PUBREL: 2, 7: 0, 9: 0, 11: 0, 13: 0}
"""Packet type → flags, of all that a broker may send beside PUBLISH."""
_FLAGS_5 = _FLAGS | {14: 0, 15: 0}


class Message(msgspec.Struct, gc=False):
    """One message: received in µs since 1970; packet: its identifier, 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    received: int
    packet: int = 0


class Packets:
    """The packets of one connection; whatever was given, `feed` keeps what is not complete yet."""

    def __init__(self, *, five: bool) -> None:
        """five: whether MQTT 5 is spoken."""
        self._five = five
        self._flags = _FLAGS_5 if five else _FLAGS
        self._names: dict[bytes, str] = {}
        self._rest = bytearray()
        self._needed = 0
        """How many bytes `_rest` must hold before it is worth looking at again."""
        self._skip = 0

    def feed(self, data: bytes, received: int) -> list[Message | bytes | Rejected]:
        """Return the packets that are complete with `data`, in order; received: µs since 1970.

        What is no MQTT gives Rejected behind all that came before it: the connection cannot go on.
        """
        found: list[Message | bytes | Rejected] = []
        try:
            self._cut(data, received, found)
        except Rejected as error:
            found.append(error)
        return found

    def _cut(self, data: bytes, received: int, found: list[Message | bytes | Rejected]) -> None:
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest = bytes(self._rest), bytearray()
        names, five = self._names, self._five
        at, size, self._needed = 0, len(data), 0
        while at + 2 <= size:
            first, length, begin = data[at], data[at + 1], at + 2
            if length > 127:
                if begin < size and (more := data[begin]) < 128:
                    length += (more << 7) - 128
                    begin += 1
                else:
                    length, begin = _length(data, at + 1)
                    if begin < 0:
                        break
            end = begin + length
            plain = first & _PLAIN_MASK == _PLAIN
            if not plain:
                self._check(first, length)
            if end > size:
                if not plain or length <= MOST_PACKET_BYTES or size - begin < MOST_PACKET_BYTES:
                    self._needed = min(end - at, begin - at + MOST_PACKET_BYTES)
                    break
                self._skip, end = end - size, size
            if not plain:
                found.append(data[at:end])
                at = end
                continue
            if length < 2:
                raise Rejected("a PUBLISH without a topic")
            name_at = begin + 2
            after = name_at + (data[begin] << 8 | data[begin + 1])
            qos = packet = 0
            if first & 2:
                qos = 1
                if after + 2 > end:
                    raise Rejected("a PUBLISH that is shorter than its topic")
                packet = data[after] << 8 | data[after + 1]
                if not packet:
                    raise Rejected("a PUBLISH with identifier 0")
                name = data[name_at:after]
                after += 2
            else:
                if after > end:
                    raise Rejected("a PUBLISH that is shorter than its topic")
                name = data[name_at:after]
            if five:
                if after < end and not data[after]:
                    after += 1
                else:
                    after = _behind_properties(data, after, end)
            topic = names.get(name)
            if topic is None:
                topic = self._name(name)
            payload = data[after : end if end - after < MOST_PAYLOAD_BYTES else after + MOST_PAYLOAD_BYTES]
            found.append(Message(topic, payload, qos, first & 1 != 0, first & 8 != 0, received, packet))
            at = end
        if at < size:
            self._rest += data[at:]

    def _check(self, first: int, length: int) -> None:
        kind, flags = first >> 4, first & 15
        if kind == _PUBLISH:
            if flags & 6 == 6:
                raise Rejected("a PUBLISH at QoS 3")
            if length > MOST_PACKET_BYTES:
                raise Rejected(f"a PUBLISH at QoS 2 of {length} bytes")
        elif self._flags.get(kind) != flags:
            raise Rejected(f"a packet that no broker sends: type {kind}, flags {flags}")
        elif length > _MOST_OTHER_BYTES:
            raise Rejected(f"a packet of type {kind} of {length} bytes")

    def _name(self, name: bytes) -> str:
        """Return a topic, and remember it."""
        if not name:
            raise Rejected("a PUBLISH with an empty topic; no alias was agreed")
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        topic = self._names[name] = name.decode("utf-8", "backslashreplace")
        return topic


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the number in variable bytes and where it ends, -1 when it goes on behind the data.

    Raises Rejected for more than four bytes.
    """
    value = 0
    for index in range(_LONGEST_LENGTH):
        if at + index >= len(data):
            return 0, -1
        byte = data[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise Rejected("a length of more than four bytes")


def _behind_properties(data: bytes, at: int, end: int) -> int:
    """Return where a PUBLISH's properties end; none of them changes what we do. Raises Rejected."""
    length, begin = _length(data[:end] if end - at <= _LONGEST_LENGTH else data, at)
    if begin < 0 or begin + length > end:
        raise Rejected("a PUBLISH that is shorter than its properties")
    return begin + length
