"""How an edge node's clock differs from ours, from the times at which it says that it sent its messages. Pure.

Messages that were kept somewhere come faster than they were sent, so their distances from our clock run away; a clock
that differs keeps its distance. Three messages in step, spread over a second and more, show it; the birth that we have
just asked for shows it alone.
"""

from collections import deque

from muster.clock import LATEST_US, SECOND_US

_IN_STEP = 3
_APART_S = 0.5
_TOLERANCE_US = SECOND_US


class Clockwork:
    """What was measured of one node; 0 until its clock differs by more than a second."""

    def __init__(self) -> None:
        self.offset_us = 0
        self.accuracy_us = 0
        self._last: deque[tuple[int, float]] = deque(maxlen=_IN_STEP)

    def measured(self, sent: int, received: int, now_s: float, at_once: bool = False) -> bool:
        """Note a message sent and received at these times (µs since 1970); return whether the offset changed.

        now_s: monotonic seconds. at_once: the message was just asked for, so it cannot have been kept.
        """
        if sent > LATEST_US:
            return False
        distance = sent - received
        last = self._last
        if not at_once:
            if last and now_s - last[-1][1] < _APART_S:
                return False
            if last and abs(distance - last[-1][0]) > _TOLERANCE_US:
                last.clear()
            last.append((distance, now_s))
            if len(last) < _IN_STEP:
                return False
        if abs(distance - self.offset_us) <= _TOLERANCE_US:
            return False
        seen = [distance] if at_once else sorted(one for one, _ in last)
        self.offset_us = seen[len(seen) // 2]
        self.accuracy_us = _TOLERANCE_US if at_once else max(seen[-1] - seen[0], 1000)
        last.clear()
        return True
