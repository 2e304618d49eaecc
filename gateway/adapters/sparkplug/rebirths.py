"""When edge nodes are asked to be born anew: at most once a minute each, whoever asks. Pure."""

from gateway.adapters.sparkplug.topics import Node

REBIRTH = "Node Control/Rebirth"
REBIRTH_EVERY_S = 60.0


class RebirthLimit:
    """When each edge node was last asked for a rebirth, whoever asked; times in monotonic seconds."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, Node], float] = {}

    def asked(self, key: tuple[str, Node]) -> float | None:
        """Return when."""
        return self._asked.get(key)

    def take(self, key: tuple[str, Node], now_s: float) -> bool:
        """Note that it is asked now, unless it was asked within the minute; returns whether it may be."""
        last = self._asked.get(key)
        if last is not None and now_s - last < REBIRTH_EVERY_S:
            return False
        self._asked[key] = now_s
        return True
