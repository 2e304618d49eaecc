"""Whether a message is new: what a device's own timestamps say of live, replayed and repeated messages.

Pure. A message not newer than the newest seen on its topic is history. When a device's clock was set, its messages go
on in step with ours, only at another distance: three of them in step, at the pace of time, show the new distance, which
is then measured. Buffered messages come faster than their timestamps, so they never look like that.
"""

from collections import deque
from itertools import islice

from muster.clock import SECOND_US

_NEVER = -(2**62)
_IN_STEP = 3
_TOLERANCE_US = SECOND_US
_BLOCK = 64
_MOST_BLOCKS = 16
_KEPT_US = 120 * SECOND_US


class Order:
    """What was seen of one device. All times in µs since 1970."""

    __slots__ = (
        "_blocks",
        "_came",
        "_in_step",
        "_missing",
        "_newer",
        "_newest",
        "_older",
        "_pace_us",
        "_seen",
        "accuracy_us",
        "offset_us",
    )

    def __init__(self, interval_s: float) -> None:
        self.offset_us = 0
        self.accuracy_us = 0
        self._pace_us = round(interval_s * SECOND_US / 2)
        self._newest: dict[str, int] = {}
        self._in_step = 0
        """How many messages, up to the newest, were in step; of the last two the distances, and when they came."""
        self._older = self._newer = self._came = 0
        self._seen: dict[int, None] = {}
        """What is remembered, oldest first: whole blocks, and behind them what has come since."""
        self._blocks: deque[int] = deque()
        """When each whole block was complete."""
        self._missing = _BLOCK

    def repeated(self, topic: str, payload: bytes, received: int) -> bool:
        """Tell whether this very message, with its own timestamp in it, came a moment ago.

        A publisher that lost its broker sends again what was not acknowledged, mixed with what it said meanwhile. The
        last 64 messages are remembered, and of a faster device those of two minutes, at most about a thousand.
        """
        digest = hash((topic, payload))
        seen = self._seen
        if digest in seen:
            return True
        seen[digest] = None
        self._missing -= 1
        if not self._missing:
            self._complete(received)
        return False

    def _complete(self, received: int) -> None:
        """Note that a block is complete, and forget those that need not be remembered any more."""
        self._missing = _BLOCK
        blocks = self._blocks
        blocks.append(received)
        while len(blocks) > 1 and (len(blocks) > _MOST_BLOCKS or blocks[0] < received - _KEPT_US):
            blocks.popleft()
            for digest in list(islice(self._seen, _BLOCK)):
                del self._seen[digest]

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
        older, newer = self._older, self._newer
        if self._in_step and (
            received - self._came < self._pace_us or not -_TOLERANCE_US <= distance - newer <= _TOLERANCE_US
        ):
            self._in_step = 0
        self._older, self._newer, self._came = newer, distance, received
        if self._in_step < _IN_STEP - 1:
            self._in_step += 1
            return False
        if -_TOLERANCE_US <= distance - self.offset_us <= _TOLERANCE_US:
            return False
        distances = sorted((older, newer, distance))
        self.offset_us, self.accuracy_us = distances[1], max(distances[-1] - distances[0], 1000)
        self._newest.clear()
        self._in_step = 0
        return True
