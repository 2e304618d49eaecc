"""JSONPaths, pure: most are plain (`$.values.temp`, `$[2]`), keys to walk; others go to python-jsonpath."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonpath

from muster.errors import ConfigError

_PLAIN = re.compile(r"""\.([^\W\d][\w-]*)|\[(\d{1,9})\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]""")
_LAST_BARE = "\uffff"
"""The library takes letters beyond it between quotes only."""
MISSING = object()
"""What stands where nothing stands; None is a value of JSON."""


@dataclass(frozen=True, slots=True)
class Path:
    """A JSONPath: its plain keys, or the compiled expression."""

    text: str
    keys: tuple[str | int, ...] | None
    compiled: Any = None

    def all(self, document: Any) -> list[Any]:
        """Return everything it points to."""
        if self.keys is None:
            if isinstance(document, str):
                return []  # there is nothing in a text; the library would read it as JSON once more
            try:
                found: list[Any] = self.compiled.findall(document)
            except (jsonpath.JSONPathError, RecursionError):
                return []
            return found
        node = walk(document, self.keys)
        return [] if node is MISSING else [node]

    def one(self, document: Any) -> Any:
        """Return the first value it points to, or None."""
        if self.keys is not None:
            node = walk(document, self.keys)
            return None if node is MISSING else node
        found = self.all(document)
        return found[0] if found else None


def compile_path(text: str, where: str) -> Path:
    """Compile a JSONPath. Raises ConfigError naming the field `where`."""
    if text == "$":
        return Path(text, ())
    if text.startswith("$"):
        keys: list[str | int] = []
        at = 1
        while found := _PLAIN.match(text, at):
            name, index, single, double = found.groups()
            keys.append(
                int(index) if index is not None else next(k for k in (name, single, double) if k is not None)
            )
            at = found.end()
        if at == len(text):
            return Path(text, tuple(keys))
    else:
        raise ConfigError(f"{where}: {text!r} does not begin with $")
    try:
        return Path(text, None, jsonpath.compile(text))
    except (jsonpath.JSONPathError, ValueError, IndexError) as error:
        raise ConfigError(f"{where}: {text!r} is no JSONPath: {error}") from error


def plain(keys: Sequence[str | int]) -> str:
    """Return the JSONPath of these keys."""
    parts = []
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif re.fullmatch(r"[^\W\d][\w-]*", key) and max(key) <= _LAST_BARE:
            parts.append(f".{key}")
        else:
            parts.append(f"[{json.dumps(key, ensure_ascii=False)}]")
    return "$" + "".join(parts)


def walk(node: Any, keys: tuple[str | int, ...]) -> Any:
    """Return what stands at plain keys, or MISSING."""
    for key in keys:
        if type(node) is dict:
            node = node.get(key, MISSING)
        elif type(node) is list and type(key) is int and key < len(node):
            node = node[key]
        else:
            return MISSING
        if node is MISSING:
            return MISSING
    return node
