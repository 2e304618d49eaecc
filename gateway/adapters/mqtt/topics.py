"""Topic names and filters (MQTT 3.1.1, section 4.7): checking, matching, and finding who asked for a topic."""

from collections.abc import Callable
from typing import Generic, TypeVar

from muster.errors import ConfigError

T = TypeVar("T")
_MOST_BYTES = 65_535


def check_topic(topic: str, where: str) -> None:
    """Check a topic that is published to. Raises ConfigError, also a ValueError's text for pydantic."""
    if "+" in topic or "#" in topic:
        raise ConfigError(f"{where}: {topic!r} has a wildcard")
    check_filter(topic, where)


def check_filter(name: str, where: str) -> None:
    """Check a topic filter: `+` stands for one whole level, `#` for all that follow."""
    levels = name.split("/")
    odd = any(("+" in level or "#" in level) and len(level) > 1 for level in levels)
    if (
        not name
        or "\0" in name
        or len(name.encode("utf-8", "replace")) > _MOST_BYTES
        or odd
        or "#" in levels[:-1]
    ):
        raise ConfigError(f"{where}: {name!r} is no topic filter")


def matches(name: str, topic: str) -> bool:
    """Tell whether a topic falls under a filter; `$` topics only under filters that begin with them."""
    if topic.startswith("$") and name[0] in "+#":
        return False
    levels, parts = name.split("/"), topic.split("/")
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(parts) or level not in ("+", parts[index]):
            return False
    return len(levels) == len(parts)


class Directory(Generic[T]):
    """Who asked for what: filters, and what belongs to each."""

    def __init__(self) -> None:
        self._exact: dict[str, list[T]] = {}
        self._wild: dict[str, list[T]] = {}

    def add(self, name: str, one: T) -> None:
        """Let `one` be found by topics under a filter."""
        where = self._wild if "+" in name or "#" in name else self._exact
        where.setdefault(name, []).append(one)

    def remove(self, gone: Callable[[T], bool]) -> None:
        """Let those for which `gone` is true not be found any more."""
        for where in (self._exact, self._wild):
            for name in list(where):
                where[name] = [one for one in where[name] if not gone(one)]
                if not where[name]:
                    del where[name]

    def find(self, topic: str) -> list[T]:
        """Return what belongs to a topic."""
        wild = [one for name, ones in self._wild.items() if matches(name, topic) for one in ones]
        return [*self._exact.get(topic, ()), *wild]
