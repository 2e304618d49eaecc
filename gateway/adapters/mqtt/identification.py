"""What follows for the origin from what a payload says the device is: only ever pessimistic."""

from collections.abc import Mapping

from muster.device import Origin

_REPLAY = ("replay", "回放")
_SIMULATION = ("simulat", "emulat", "仿真", "模拟器")


def origin_of(facts: Mapping[str, str]) -> str | None:
    """Return simulated or replayed where a device calls itself so, else nothing."""
    words = " ".join(facts.values()).lower()
    if any(word in words for word in _REPLAY):
        return Origin.REPLAYED
    return Origin.SIMULATED if any(word in words for word in _SIMULATION) else None
