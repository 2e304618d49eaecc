"""Whether a message is new: what a device's own timestamps say of live, replayed and repeated messages.

Pure. A message not newer than the newest seen on its topic is history. When a device's clock was set, its messages go
on in step with ours, only at another distance: three of them in step, at the pace of time, show the new distance, which
is then measured. Buffered messages come faster than their timestamps, so they never look like that.
"""

from collections import deque

from muster.clock import SECOND_US

_NEVER = -(2**62)
_IN_STEP = 3
_TOLERANCE_US = SECOND_US
_BLOCK = 64
_MOST_BLOCKS = 16
_KEPT_US = 120 * SECOND_US


class Order:
    """What was seen of one device. All times in µs since 1970."""

    def __init__(self, interval_s: float) -> None:
        self.offset_us = 0
        self.accuracy_us = 0
        self._pace_us = round(interval_s * SECOND_US / 2)
        self._newest: dict[str, int] = {}
        self._last: deque[tuple[int, int]] = deque(maxlen=_IN_STEP)
        self._seen: set[int] = set()
        self._seen_before: deque[tuple[int, set[int]]] = deque()

    def repeated(self, topic: str, payload: bytes, received: int) -> bool:
        """Tell whether this very message, with its own timestamp in it, came a moment ago.

        A publisher that lost its broker sends again what was not acknowledged, mixed with what it said meanwhile. The
        last 64 messages are remembered, and of a faster device those of two minutes, at most about a thousand.
        """
        digest = hash((topic, payload))
        if digest in self._seen:
            return True
        before = self._seen_before
        for _, block in before:
            if digest in block:
                return True
        self._seen.add(digest)
        if len(self._seen) == _BLOCK:
            before.append((received, self._seen))
            self._seen = set()
            while len(before) > 1 and (len(before) > _MOST_BLOCKS or before[0][0] < received - _KEPT_US):
                before.popleft()
        return False

    def replayed(self, topic: str, time: int) -> bool:
        """Note a message's source time; return whether it is not newer than what was seen."""
        newest = self._newest.get(topic, _NEVER)
        if time <= newest:
            return True
        self._newest[topic] = time
        return False

    def measured(self, time: int, received: int) -> bool:
        """Note a live message; return whether the clock's difference was measured anew."""
        distance = time - received
        last = self._last
        if last and not (
            received - last[-1][1] >= self._pace_us and abs(distance - last[-1][0]) <= _TOLERANCE_US
        ):
            last.clear()
        last.append((distance, received))
        if len(last) < _IN_STEP or abs(distance - self.offset_us) <= _TOLERANCE_US:
            return False
        distances = sorted(one for one, _ in last)
        self.offset_us, self.accuracy_us = distances[_IN_STEP // 2], max(distances[-1] - distances[0], 1000)
        self._newest.clear()
        last.clear()
        return True
