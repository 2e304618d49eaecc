"""Values of a server's own structures, by the definitions that it gives of them (OPC 10000-3 §8.48, 10000-6 §5.2).

The library can make classes of such definitions, but keeps them for the whole process by ids that each server gives as
it likes: two servers would read one another's structures. Here they belong to one session, and a value is read into
plain dicts and lists.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from asyncua import Client, ua
from asyncua.common.ua_utils import data_type_to_variant_type
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import unpack_uatype

MOST_TYPES = 64
MOST_ELEMENTS = 65_536
_DEEPEST = 8
_PLAIN_TYPES = 25
"""Ids of data types below this are the built-in ones."""
_WRONG = (
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    OverflowError,
    RecursionError,
    ua.UaError,
)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: "ua.VariantType | _Layout"
    is_array: bool
    is_optional: bool


@dataclass(slots=True)
class _Layout:
    kind: ua.StructureType
    fields: list[_Field] = field(default_factory=list)


class Structures:
    """The structures that a session knows, by the ids of their binary encodings."""

    def __init__(self) -> None:
        self._layouts: dict[ua.NodeId, _Layout] = {}
        self._types: dict[ua.NodeId, ua.VariantType | _Layout | None] = {}

    def opened(self, value: ua.ExtensionObject) -> dict[str, Any] | None:
        """Return the fields of a value; None when its structure is not known or the bytes are not of it."""
        layout = self._layouts.get(value.TypeId)
        if layout is None or not isinstance(value.Body, bytes):
            return None
        try:
            body = Buffer(value.Body)
            fields = _read(layout, body, 0)
            return fields if not len(body) else None
        except _WRONG:
            return None

    async def learn(self, client: Client, variables: Iterable[ua.NodeId]) -> None:
        """Ask for the definitions of what these variables hold. Raises what the vendor's read raises."""
        wanted = [ua.ReadValueId(node, ua.AttributeIds.DataType) for node in variables]
        if not wanted:
            return
        answers = await client.uaclient.read(ua.ReadParameters(0, ua.TimestampsToReturn.Neither, wanted))
        for answer in answers:
            if answer.Value is not None and isinstance(answer.Value.Value, ua.NodeId):
                await self._type(client, answer.Value.Value, 0)

    async def _type(self, client: Client, kind: ua.NodeId, depth: int) -> ua.VariantType | _Layout | None:
        """Return how a data type is encoded; None for what is not known here."""
        if kind.NamespaceIndex == 0 and isinstance(kind.Identifier, int) and kind.Identifier < _PLAIN_TYPES:
            return ua.VariantType(kind.Identifier) if kind.Identifier > 0 else None
        if kind in self._types:
            return self._types[kind]
        if depth > _DEEPEST or len(self._types) >= MOST_TYPES:
            return None
        self._types[kind] = None  # a structure within itself ends here
        asked = ua.ReadValueId(kind, ua.AttributeIds.DataTypeDefinition)
        (answer,) = await client.uaclient.read(ua.ReadParameters(0, ua.TimestampsToReturn.Neither, [asked]))
        definition = None if answer.Value is None else answer.Value.Value
        if isinstance(definition, ua.StructureDefinition):
            self._types[kind] = await self._structure(client, definition, depth)
        elif isinstance(definition, ua.EnumDefinition):
            self._types[kind] = ua.VariantType.Int32
        else:
            found = await data_type_to_variant_type(client.get_node(kind))
            self._types[kind] = None if found is ua.VariantType.ExtensionObject else found
        return self._types[kind]

    async def _structure(
        self, client: Client, definition: ua.StructureDefinition, depth: int
    ) -> _Layout | None:
        if definition.StructureType > ua.StructureType.Union:
            return None
        layout = _Layout(definition.StructureType)
        for one in definition.Fields:
            kind = await self._type(client, one.DataType, depth + 1)
            if kind is None or one.ValueRank > 1 or not one.Name:
                return None
            layout.fields.append(_Field(one.Name, kind, one.ValueRank >= 0, bool(one.IsOptional)))
        self._layouts[definition.DefaultEncodingId] = layout
        return layout


def step(raw: Any, name: str) -> Any:
    """Return what stands at one step of a path within a value that `Structures.opened` gave; None for nothing."""
    if isinstance(raw, dict):
        return raw.get(name)
    return None if name.startswith("_") else getattr(raw, name, None)


def leaves(fields: dict[str, Any], most: int, before: str = "") -> list[tuple[str, Any]]:
    """Return the path and value of whatever is no structure, of arrays the first `most` elements."""
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        path = f"{before}{name}"
        elements = value[:most] if isinstance(value, list) else None
        each = (
            [(path, value)]
            if elements is None
            else [(f"{path}.{at}", one) for at, one in enumerate(elements)]
        )
        for where, one in each:
            found += leaves(one, most, f"{where}.") if isinstance(one, dict) else [(where, one)]
    return found


def _read(layout: _Layout, body: Buffer, depth: int) -> dict[str, Any]:
    """Return a structure's fields. Raises one of `_WRONG`."""
    if depth > _DEEPEST:
        raise ValueError("a structure too deep")
    if layout.kind == ua.StructureType.Union:
        chosen = unpack_uatype(ua.VariantType.UInt32, body)
        if not chosen:
            return {}
        one = layout.fields[chosen - 1]
        return {one.name: _value(one, body, depth)}
    mask = 0
    if layout.kind == ua.StructureType.StructureWithOptionalFields:
        mask = unpack_uatype(ua.VariantType.UInt32, body)
    fields: dict[str, Any] = {}
    for one in layout.fields:
        if one.is_optional and layout.kind == ua.StructureType.StructureWithOptionalFields:
            is_there, mask = mask & 1, mask >> 1
            if not is_there:
                continue
        fields[one.name] = _value(one, body, depth)
    return fields


def _value(one: _Field, body: Buffer, depth: int) -> Any:
    if not one.is_array:
        return _element(one, body, depth)
    count = unpack_uatype(ua.VariantType.Int32, body)
    if count > min(len(body), MOST_ELEMENTS):
        raise ValueError("an array longer than its bytes")
    return [_element(one, body, depth) for _ in range(count)]


def _element(one: _Field, body: Buffer, depth: int) -> Any:
    if isinstance(one.kind, _Layout):
        return _read(one.kind, body, depth + 1)
    return unpack_uatype(one.kind, body)
