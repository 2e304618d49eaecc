"""Reading at once DATA of a form that was seen before: the same metrics by alias, floating point numbers of one time.

An edge node that sends all metrics of a device together sends the same bytes each time, but for times and numbers. What
`Form.read` gives is what `decode` gives for the same bytes; for bytes of any other form it gives None.
"""

import re
import struct
from functools import lru_cache

import msgspec

from muster.sparkplug.codec import decode
from muster.sparkplug.model import DataType, Metric, Payload
from muster.sparkplug.plain import HEAD, KINDS, METRIC, TAIL, VARINT, number

_MOST_METRICS = 1000
_HEAD_TAG = 0x08
_WHOLE = re.compile(VARINT)


class Numbers(msgspec.Struct, gc=False):
    """A payload of such a form; times in ms since 1970: the payload's own, and that of all its metrics."""

    timestamp_ms: int
    time_ms: int
    seq: int
    values: tuple[float, ...]
    form: "Form"

    @property
    def metrics(self) -> list[Metric]:
        """The metrics as they stand in any payload."""
        form = self.form
        return [
            Metric("", alias, datatype, value, self.time_ms)
            for alias, datatype, value in zip(form.aliases, form.datatypes, self.values, strict=True)
        ]


class Form:
    """Which metrics come, in which order and under which bytes.

    datatypes: as they came, perhaps UNKNOWN; carriers: DOUBLE or FLOAT, as which the number stands there.
    """

    def __init__(
        self,
        aliases: tuple[int, ...],
        datatypes: tuple[DataType, ...],
        carriers: tuple[DataType, ...],
        layout: str,
        between: tuple[bytes, ...],
    ) -> None:
        """layout: of the bytes before the tail, as `struct` has it; between: of these all that is the same."""
        self.aliases, self.datatypes, self.carriers = aliases, datatypes, carriers
        layout_of = struct.Struct(layout)
        self._unpack, self._size = layout_of.unpack_from, layout_of.size
        self._between = between

    def read(self, raw: bytes) -> Numbers | None:
        """Return what a payload's bytes hold; None when they are not of this form."""
        size = self._size
        if len(raw) <= size:
            return None
        said, *parts = self._unpack(raw)
        times = parts[1::4]
        if (*parts[::4], *parts[2::4]) != self._between or times.count(times[0]) != len(times):
            return None
        tail = TAIL.fullmatch(raw, size)
        sent_ms, time_ms = _checked(said), _checked(times[0])
        if tail is None or sent_ms is None or time_ms is None or raw[0] != _HEAD_TAG:
            return None
        return Numbers(sent_ms, time_ms, number(tail[1]), tuple(parts[3::4]), self)


def form_of(raw: bytes) -> Form | None:
    """Return the form of a payload's bytes; None when it has none that can be read at once."""
    head = HEAD.match(raw)
    if head is None:
        return None
    at = head.end()
    layout = [f"<x{at - 1}s"]
    before: list[bytes] = []
    behind: list[bytes] = []
    aliases: list[int] = []
    datatypes: list[DataType] = []
    carriers: list[DataType] = []
    times: set[bytes | None] = set()
    for found in METRIC.finditer(raw, at):
        begin, end = found.span()
        length, alias, time, kind, double, single, _ = found.groups()
        carrier = DataType.DOUBLE if double is not None else DataType.FLOAT
        if begin != at or end - begin - 2 != length[0] or time is None or (double is None and single is None):
            return None
        times.add(time)
        datatype = KINDS.get(kind)
        if datatype is not carrier and datatype is not DataType.UNKNOWN:
            return None
        at = end
        value_at = end - (8 if carrier is DataType.DOUBLE else 4)
        before.append(raw[begin : found.start(3)])
        behind.append(raw[found.end(3) : value_at])
        letter = "d" if carrier is DataType.DOUBLE else "f"
        layout.append(f"{len(before[-1])}s{len(time)}s{len(behind[-1])}s{letter}")
        aliases.append(number(alias))
        datatypes.append(datatype)
        carriers.append(carrier)
    if not aliases or len(aliases) > _MOST_METRICS or len(times) != 1 or TAIL.fullmatch(raw, at) is None:
        return None
    return Form(tuple(aliases), tuple(datatypes), tuple(carriers), "".join(layout), (*before, *behind))


class Reader:
    """Reads what one device says again and again, at once where it has the form of what was said before."""

    __slots__ = ("_form", "_misses")

    def __init__(self) -> None:
        self._form: Form | None = None
        self._misses = 0

    def read(self, raw: bytes) -> Payload | Numbers:
        """Return what a payload's bytes hold. Raises Rejected when they are no Sparkplug B payload."""
        if self._form is not None and (numbers := self._form.read(raw)) is not None:
            return numbers
        payload = decode(raw)
        self._misses += 1
        if not self._misses & (self._misses - 1):  # ever less often: what changes all the time has no form
            self._form = form_of(raw)
        return payload


@lru_cache(4096)
def _checked(varint: bytes) -> int | None:
    return number(varint) if _WHOLE.fullmatch(varint) else None
