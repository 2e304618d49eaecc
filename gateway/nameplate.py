"""What follows for a device's origin from the words with which it calls itself: only ever pessimistic."""

from collections.abc import Iterable

from muster.device import Origin

_REPLAY = ("replay", "回放")
_SIMULATION = ("simulat", "emulat", "仿真", "模拟器")


def origin_in(said: Iterable[object]) -> str | None:
    """Return replayed or simulated where the words say so, else nothing."""
    words = " ".join(map(str, said)).lower()
    if any(word in words for word in _REPLAY):
        return Origin.REPLAYED
    return Origin.SIMULATED if any(word in words for word in _SIMULATION) else None
