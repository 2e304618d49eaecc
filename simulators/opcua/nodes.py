"""The standard's own nodes (OPC 10000-5), built once in a process and given to each server as it touches them.

A server touches a few dozen of the six thousand. What it touches is a copy, so that no server sees another's values;
what it only may be asked for stays packed, once for all.
"""

import asyncio
import pickle
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from pathlib import Path
from typing import cast

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData, NodeManagementService
from asyncua.server.internal_server import InternalServer
from asyncua.server.standard_address_space import standard_address_space


class LazyNodes(MutableMapping[ua.NodeId, NodeData]):
    """A server's nodes: those it has added or touched, and the standard's as they were built."""

    def __init__(self, standard: Mapping[ua.NodeId, bytes]) -> None:
        self._standard = standard
        self._own: dict[ua.NodeId, NodeData] = {}
        self._deleted: set[ua.NodeId] = set()

    def __getitem__(self, key: ua.NodeId) -> NodeData:
        held = self._own.get(key)
        if held is None:
            if key in self._deleted:
                raise KeyError(key)
            held = self._own[key] = pickle.loads(self._standard[key])
        return held

    def __setitem__(self, key: ua.NodeId, value: NodeData) -> None:
        self._deleted.discard(key)
        self._own[key] = value

    def __delitem__(self, key: ua.NodeId) -> None:
        if key not in self:
            raise KeyError(key)
        self._own.pop(key, None)
        self._deleted.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._own or (key in self._standard and key not in self._deleted)

    def __iter__(self) -> Iterator[ua.NodeId]:
        yield from self._own
        yield from (key for key in self._standard if key not in self._own and key not in self._deleted)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LightServer(InternalServer):  # type: ignore[misc]  # the library tells no types
    """What stands behind a server, with the standard's nodes shared by the whole process."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        """Take the standard's nodes; `shelf_file` is not used."""
        nodes = LazyNodes(await asyncio.to_thread(_standard))
        self.aspace._nodes = cast(dict[ua.NodeId, NodeData], nodes)


@cache
def _standard() -> Mapping[ua.NodeId, bytes]:
    """Return each node of the standard, packed: about 3 s of work and 60 MB, once in a process."""
    space = AddressSpace()
    standard_address_space.fill_address_space(NodeManagementService(space))
    keys = space.keys()
    return {key: pickle.dumps(space[key], pickle.HIGHEST_PROTOCOL) for key in keys}
