"""Sparkplug topics (Sparkplug 3.0, chapter 4): `spBv1.0/<group>/<kind>/<node>[/<device>]`, and a host's STATE."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"]
NAMESPACE = "spBv1.0"
_OF_NODES: frozenset[str] = frozenset({"NBIRTH", "NDEATH", "NDATA"})
_OF_DEVICES: frozenset[str] = frozenset({"DBIRTH", "DDEATH", "DDATA"})


@dataclass(frozen=True, slots=True)
class Node:
    """An edge node of one broker."""

    group: str
    name: str

    @property
    def filter(self) -> str:
        """The topic filter of everything that it, its devices and other hosts say on its topics."""
        return f"{NAMESPACE}/{self.group}/+/{self.name}/#"

    @property
    def group_filters(self) -> tuple[str, str]:
        """The topic filters of everything that nodes of its group, and their devices, say."""
        return f"{NAMESPACE}/{self.group}/+/+", f"{NAMESPACE}/{self.group}/+/+/+"

    def command(self, device: str | None) -> str:
        """Return the topic of commands to the node, or to one of its devices."""
        if device is None:
            return f"{NAMESPACE}/{self.group}/NCMD/{self.name}"
        return f"{NAMESPACE}/{self.group}/DCMD/{self.name}/{device}"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic under which a node or one of its devices speaks."""

    kind: Kind
    node: Node
    device: str | None


def parse(topic: str) -> Topic | None:
    """Return what a topic says; None when it is none of an edge node's own words, such as a host's command."""
    parts = topic.split("/")
    if parts[0] != NAMESPACE or not all(parts):
        return None
    if len(parts) == 4 and parts[2] in _OF_NODES:
        return Topic(parts[2], Node(parts[1], parts[3]), None)  # type: ignore[arg-type]
    if len(parts) == 5 and parts[2] in _OF_DEVICES:
        return Topic(parts[2], Node(parts[1], parts[3]), parts[4])  # type: ignore[arg-type]
    return None


def state_topic(host_id: str) -> str:
    """Return where a host application says whether it is online."""
    return f"{NAMESPACE}/STATE/{host_id}"
