"""What payloads of one shape hold, read at once: JSON straight to the numbers of a scan, without a document. Pure.

A shape says which keys stand where, and of what type each tag's value is. A payload of the shape gives the very values
that `values.convert` gives; for any other `read` returns None, and its document must be read as a whole: one in which a
tag is missing, null, a text or out of range, one with a key that the shape does not know, and whatever is no JSON. Keys
that no tag wants are decoded, too: what stands in them may be no JSON either.
"""

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from gateway.adapters.mqtt.values import EXACT, FLOATS, INTEGERS

Keys = tuple[str | int, ...]
Leaf = tuple[Keys, str]
"""Where a tag's value stands, and the tag's type."""

_Tree = dict[str | int, Any]
_MOST_ELEMENTS = 256
_MOST_EXTRAS = 64
_EXTRA = object()
"""The meaning of what no tag wants: it may be missing."""


class Shape:
    """One shape; read: payload → what stands where the time does, if that was named, and the values as float64."""

    def __init__(self, leaves: tuple[Leaf, ...], stamp: Keys | None, extras: frozenset[Keys]) -> None:
        """extras: where what no tag wants stands. Raises ValueError for what can be no shape."""
        self._leaves, self._stamp, self._extras = leaves, stamp, extras
        self._tree: _Tree = {}
        for keys, kind in leaves:
            _plant(self._tree, keys, _meaning(kind))
        if stamp is not None:
            _plant(self._tree, stamp, Any)
        for keys in extras:
            _plant(self._tree, keys, _EXTRA)
        places: dict[Keys, str] = {}
        decode = msgspec.json.Decoder(_struct(self._tree, (), "", places)).decode
        wanted = [places[keys] for keys, _ in leaves]
        time = None if stamp is None else attrgetter(places[stamp])
        self.read = _reader(decode, wanted, time)

    def grown(self, document: Any) -> "Shape | None":
        """Return the shape that knows what else stands in a document; None when there is nothing, or too much."""
        more = frozenset(_unknown(self._tree, document, ()))
        if not more or len(more) + len(self._extras) > _MOST_EXTRAS:
            return None
        return shape_of(self._leaves, self._stamp, self._extras | more)


@lru_cache(1024)
def shape_of(
    leaves: tuple[Leaf, ...], stamp: Keys | None, extras: frozenset[Keys] = frozenset()
) -> Shape | None:
    """Return a shape, the same one for all devices of a kind; None where payloads cannot be read so."""
    try:
        return Shape(leaves, stamp, extras) if leaves else None
    except ValueError:
        return None


def _reader(
    decode: Callable[[bytes], Any], wanted: list[str], time: Callable[[Any], Any] | None
) -> Callable[[bytes], tuple[Any, bytes] | None]:
    pick = attrgetter(*wanted)
    pack = struct.Struct(f"={len(wanted)}d").pack
    single = len(wanted) == 1

    def read(payload: bytes) -> tuple[Any, bytes] | None:
        try:
            document = decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        values = pack(pick(document)) if single else pack(*pick(document))
        return None if time is None else time(document), values

    return read


def _meaning(kind: str) -> Any:
    """Return the type whose values `convert` takes as they stand. Raises ValueError when there is none."""
    if kind == "float64":
        return float
    if kind in FLOATS:
        return Annotated[float, msgspec.Meta(ge=-FLOATS[kind], le=FLOATS[kind])]
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return Annotated[int, msgspec.Meta(ge=max(low, -EXACT), le=min(high, EXACT))]
    if kind == "bool":
        return bool
    raise ValueError(f"a {kind} is no number")


def _plant(tree: _Tree, keys: Keys, meaning: Any) -> None:
    """Let something stand at `keys`. Raises ValueError when something else does, or no object or array fits."""
    if not keys:
        raise ValueError("the whole document")
    for key, below in zip(keys, (*keys[1:], None), strict=True):
        if any(type(other) is not type(key) for other in tree):
            raise ValueError("an object that is an array, too")
        if type(key) is int and key >= _MOST_ELEMENTS:
            raise ValueError("a long array")
        if below is None:
            if key in tree:
                raise ValueError("two meanings")
            tree[key] = meaning
        else:
            tree = tree.setdefault(key, {})
            if not isinstance(tree, dict):
                raise ValueError("a value that is an object, too")


def _struct(tree: _Tree, at: Keys, name: str, places: dict[Keys, str]) -> Any:
    """Return the type that decodes an object or array; `places`: where a value stands → its attribute."""
    needed = [key for key, below in tree.items() if below is not _EXTRA]
    listed = isinstance(needed[0], int)
    if listed:
        last = max(key for key in needed if isinstance(key, int))
        needed = list(range(last + 1))
        order: list[Any] = [*needed, *range(last + 1, 1 + max(key for key in tree if isinstance(key, int)))]
    else:
        order = [*needed, *(key for key, below in tree.items() if below is _EXTRA)]
    fields: list[Any] = []
    for number, key in enumerate(order):
        below = tree.get(key, _EXTRA)
        place = f"f{number}"
        places[*at, key] = name + place
        if isinstance(below, dict):
            below = _struct(below, (*at, key), f"{name}{place}.", places)
        kind = Any if below is _EXTRA else below
        fields.append((place, kind) if number < len(needed) else (place, kind, msgspec.UNSET))
    rename = None if listed else {f"f{number}": key for number, key in enumerate(order)}
    return msgspec.defstruct(
        "Part", fields, array_like=listed, rename=rename, forbid_unknown_fields=True, gc=False
    )


def _unknown(tree: _Tree, document: Any, at: Keys) -> Iterator[Keys]:
    """Give what stands in a document and not in a tree."""
    listed = isinstance(next(iter(tree)), int)
    if isinstance(document, list) and listed:
        members: Any = enumerate(document)
    elif isinstance(document, dict) and not listed:
        members = document.items()
    else:
        return
    for key, below in members:
        known = tree.get(key)
        if known is None:
            yield (*at, key)
        elif isinstance(known, dict):
            yield from _unknown(known, below, (*at, key))
