"""What a server offers: its variables below a node, in breadth, ready to become tags."""

from collections import deque
from datetime import datetime
from typing import Any

from asyncua import Client, ua

from gateway.adapter import Found
from gateway.adapters.opcua.config import ROOT
from gateway.adapters.opcua.structures import Structures, leaves

MOST_NODES = 5_000
MOST_ELEMENTS = 16
"""An array longer than this is shown by its first elements."""
_AT_ONCE = 50
_DEEPEST = 12
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_TYPES: dict[ua.VariantType, str] = {
    ua.VariantType.Boolean: "bool",
    ua.VariantType.SByte: "int8",
    ua.VariantType.Byte: "uint8",
    ua.VariantType.Int16: "int16",
    ua.VariantType.UInt16: "uint16",
    ua.VariantType.Int32: "int32",
    ua.VariantType.UInt32: "uint32",
    ua.VariantType.Int64: "int64",
    ua.VariantType.UInt64: "uint64",
    ua.VariantType.Float: "float32",
    ua.VariantType.Double: "float64",
    ua.VariantType.String: "string",
    ua.VariantType.LocalizedText: "string",
    ua.VariantType.DateTime: "datetime",
}

_PART_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int64"),
    (float, "float64"),
    (str, "string"),
    (ua.LocalizedText, "string"),
    (datetime, "datetime"),
)
"""Of a structure's parts only what Python makes of them is known, so the type is the one that holds them all."""


async def browse(
    client: Client, root: ua.NodeId, root_text: str | None, namespaces: list[str], search: str
) -> list[Found]:
    """Return the variables below `root` of which the path contains `search`, at most those of 5,000 nodes.

    root_text: the root as the device's connection says it; nodes that continue it are told by `{root}`.
    """
    wanted = search.casefold()
    variables: list[tuple[tuple[str, ...], ua.NodeId]] = []
    waiting: deque[tuple[tuple[str, ...], ua.NodeId]] = deque([((), root)])
    seen = {root, _SERVER}
    while waiting and len(seen) < MOST_NODES:
        some = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
        for (path, _), children in zip(
            some, await _children(client, [node for _, node in some]), strict=True
        ):
            for child in children:
                node = ua.NodeId(
                    child.NodeId.Identifier, child.NodeId.NamespaceIndex, child.NodeId.NodeIdType
                )
                if node in seen:
                    continue
                seen.add(node)
                name = child.BrowseName.Name or str(child.NodeId.Identifier)
                if child.NodeClass == ua.NodeClass.Variable:
                    variables.append(((*path, name), node))
                elif len(path) < _DEEPEST:
                    waiting.append(((*path, name), node))
    chosen = [(path, node) for path, node in variables if wanted in "/".join(path).casefold()]
    found: list[Found] = []
    structures = Structures()
    for at in range(0, len(chosen), _AT_ONCE):
        found += await _described(client, chosen[at : at + _AT_ONCE], root_text, namespaces, structures)
    return found


async def _children(client: Client, nodes: list[ua.NodeId]) -> list[list[ua.ReferenceDescription]]:
    asked = ua.BrowseParameters()
    for node in nodes:
        one = ua.BrowseDescription()
        one.NodeId = node
        one.BrowseDirection = ua.BrowseDirection.Forward
        one.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
        one.IncludeSubtypes = True
        one.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
        one.ResultMask = ua.BrowseResultMask.All
        asked.NodesToBrowse.append(one)
    results = await client.uaclient.browse(asked)
    found = [list(result.References or []) for result in results]
    for index, result in enumerate(results):
        point = result.ContinuationPoint
        while point:
            more = ua.BrowseNextParameters()
            more.ContinuationPoints = [point]
            (following,) = await client.uaclient.browse_next(more)
            found[index] += following.References or []
            point = following.ContinuationPoint
    return found


async def _described(
    client: Client,
    variables: list[tuple[tuple[str, ...], ua.NodeId]],
    root_text: str | None,
    namespaces: list[str],
    structures: Structures,
) -> list[Found]:
    wanted = [
        ua.ReadValueId(node, attribute)
        for _, node in variables
        for attribute in (ua.AttributeIds.Value, ua.AttributeIds.UserAccessLevel)
    ]
    answers = await client.uaclient.read(ua.ReadParameters(0, ua.TimestampsToReturn.Both, wanted))
    shown = answers[::2]
    await structures.learn(
        client,
        [node for (_, node), value in zip(variables, shown, strict=True) if _is_structure(value.Value)],
    )
    found: list[Found] = []
    for index, (path, node) in enumerate(variables):
        value, access = answers[2 * index], answers[2 * index + 1]
        level = access.Value.Value if access.Value is not None and isinstance(access.Value.Value, int) else 0
        text = _text(node, root_text, namespaces)
        if _is_structure(value.Value):
            found += _parts(path, text, structures.opened(value.Value.Value) or {})
        else:
            found += _founds(path, text, value.Value, bool(level & 2))
    return found


def _founds(path: tuple[str, ...], node: str, shown: ua.Variant | None, writable: bool) -> list[Found]:
    kind = None if shown is None else _TYPES.get(shown.VariantType)
    if shown is None or kind is None:
        return []
    group, where = "/".join(path[:-1]), "/".join(path)
    if not isinstance(shown.Value, list):
        return [Found(where, path[-1], kind, {"node": node}, group, "", writable, _plain(shown.Value))]
    return [
        Found(
            f"{where}[{at}]",
            f"{path[-1]}_{at}",
            kind,
            {"node": node, "index": at},
            group,
            "",
            False,
            _plain(one),
        )
        for at, one in enumerate(shown.Value[:MOST_ELEMENTS])
    ]


def _is_structure(shown: ua.Variant | None) -> bool:
    return shown is not None and type(shown.Value) is ua.ExtensionObject


def _parts(path: tuple[str, ...], node: str, fields: dict[str, Any]) -> list[Found]:
    """Return the parts of a structure that can become tags."""
    group, where = "/".join(path[:-1]), "/".join(path)
    found: list[Found] = []
    for part, value in leaves(fields, MOST_ELEMENTS):
        kind = next((name for of, name in _PART_TYPES if isinstance(value, of)), None)
        if kind is not None:
            name = f"{path[-1]}_{part.replace('.', '_')}"
            address = {"node": node, "index": part}
            found.append(Found(f"{where}.{part}", name, kind, address, group, "", False, _plain(value)))
    return found


def _plain(value: Any) -> float | str | None:
    if isinstance(value, ua.LocalizedText):
        return None if value.Text is None else str(value.Text)
    if isinstance(value, (bool, int, float)):
        return float(value)
    return None if value is None else str(value)


def _text(node: ua.NodeId, root_text: str | None, namespaces: list[str]) -> str:
    """Return a node id with its namespace by name, told from the root where it continues it."""
    text: str = node.to_string()
    index = int(node.NamespaceIndex)
    if index and index < len(namespaces):
        text = f"nsu={namespaces[index]};{text.partition(';')[2]}"
    if root_text is not None and text.startswith(f"{root_text}."):
        return ROOT + text.removeprefix(root_text)
    return text
