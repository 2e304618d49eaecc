"""Writing by method: the one that a tag names is called instead of its node being written (OPC 10000-4, 5.11)."""

from collections.abc import Callable

from asyncua import Client, Node, ua
from asyncua.common.ua_utils import data_type_to_variant_type

from gateway.adapters.opcua.config import Call
from muster.errors import RequestError

_PROPERTIES = ua.NodeId(ua.ObjectIds.HasProperty)


async def call(
    client: Client, how: Call, raw: bool | int | float | str, node: Callable[[str], ua.NodeId]
) -> None:
    """Call the method that stands for a value, with the value when it takes an argument. node: resolves an id.

    Raises:
        RequestError: it takes more than one argument. What the library raises passes.
    """
    method = client.get_node(node(how.off_method if how.off_method is not None and not raw else how.method))
    holder = await method.get_parent() if how.object_ is None else client.get_node(node(how.object_))
    wanted = await _arguments(method)
    if len(wanted) > 1:
        raise RequestError(f"the method takes {len(wanted)} arguments, not one", status=409, code="refused")
    given = [
        ua.Variant(raw, await data_type_to_variant_type(client.get_node(one.DataType))) for one in wanted
    ]
    await holder.call_method(method.nodeid, *given)


async def _arguments(method: Node) -> list[ua.Argument]:
    """Return what a method takes; one without that property takes nothing."""
    for own in await method.get_children(_PROPERTIES):
        if (await own.read_browse_name()).Name == "InputArguments":
            return list(await own.read_value() or [])
    return []
