"""What arrives, as things found: every leaf of every payload with its JSONPath, type, value and interval."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.adapter import Found
from gateway.adapters.mqtt.broker import Message
from gateway.adapters.mqtt.mapping import Mapping
from gateway.adapters.mqtt.paths import plain
from muster.clock import SECOND_US
from muster.errors import Rejected

_MOST_TOPICS = 2000
_MOST_LEAVES = 500
_MOST_BYTES = 256 << 10
_DEEPEST = 12
_READER = Mapping([], max_bytes=_MOST_BYTES)
_TEXTS = Mapping([], text=True, max_bytes=4096)


@dataclass(slots=True)
class _Heard:
    document: Any = None
    note: str = ""
    live: list[int] = field(default_factory=list)


class Ear:
    """Listens a while."""

    def __init__(self) -> None:
        self._topics: dict[str, _Heard] = {}

    def hear(self, message: Message) -> None:
        """Take a message."""
        heard = self._topics.get(message.topic)
        if heard is None:
            if len(self._topics) >= _MOST_TOPICS:
                return
            heard = self._topics[message.topic] = _Heard()
        if not message.retain:
            heard.live.append(message.received)
        try:
            heard.document, heard.note = _READER.read(message.payload).document, ""
        except Rejected:
            try:
                heard.document, heard.note = _TEXTS.read(message.payload).document, "mqtt.found-text"
            except Rejected:
                heard.document, heard.note = None, "mqtt.found-unusable"

    def found(self, search: str) -> list[Found]:
        """Return what was heard, of which path contains `search` in any case of letters."""
        things: list[Found] = []
        for topic in sorted(self._topics):
            heard = self._topics[topic]
            note = heard.note or ("" if heard.live else "mqtt.found-retained")
            span = heard.live[-1] - heard.live[0] if len(heard.live) > 1 else None
            interval_s = None if span is None else round(span / SECOND_US / (len(heard.live) - 1), 3)
            things += leaves(topic, heard.document, interval_s, note)
        wanted = search.casefold()
        return [one for one in things if wanted in one.path.casefold()]


def leaves(topic: str, document: Any, interval_s: float | None = None, note: str = "") -> list[Found]:
    """Return the leaves of one payload."""
    if note == "mqtt.found-unusable":
        return [Found(topic, topic, "string", {"topic": topic}, topic, note=note)]
    things: list[Found] = []
    for keys, value in _walk(document, (), 0):
        if len(things) >= _MOST_LEAVES:
            break
        path = plain(keys)
        name = "_".join(str(key) for key in keys) or topic.rsplit("/", 1)[-1]
        shown: float | str | None = float(value) if isinstance(value, bool | float) else value
        if isinstance(value, int) and not isinstance(value, bool):
            shown = float(value) if abs(value) <= 2**53 else str(value)
        things.append(
            Found(
                f"{topic} {path}",
                name,
                _type(value),
                {"topic": topic, "path": path},
                topic,
                value=shown[:200] if isinstance(shown, str) else shown,
                interval_s=interval_s,
                note=note,
            )
        )
    return things


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "float64" if abs(value) <= 2**53 else "int64"
    return "float64" if isinstance(value, float) else "string"


def _walk(node: Any, keys: tuple[str | int, ...], depth: int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if depth > _DEEPEST:
        return
    if isinstance(node, dict):
        for key, below in node.items():
            yield from _walk(below, (*keys, key), depth + 1)
    elif isinstance(node, list):
        for index, below in enumerate(node):
            yield from _walk(below, (*keys, index), depth + 1)
    elif node is not None or not keys:
        yield keys, node
