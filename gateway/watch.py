"""Whether the gateway watched without a break, judged by comparing its wall clock with its monotonic one.

Pure: the recorder says what both clocks read at each beat.
"""

from dataclasses import dataclass

from muster.clock import SECOND_US

JUMP_US = 1 * SECOND_US
"""A wall clock that moved this much more or less than the monotonic one was set, not slewed."""

STALL_US = 4 * SECOND_US
"""A process that did not beat for this long did not watch; also what keeps a batch's span below 5 s."""


@dataclass(frozen=True, slots=True)
class Break:
    """The watch ended at `ended` and a new one begins at `begins`, both µs since 1970.

    reason: a catalogue key. moved_us: by how much the wall clock was set.
    """

    reason: str
    ended: int
    begins: int
    moved_us: int

    def before(self, received: int) -> bool:
        """Tell whether a receive time was stamped before the break.

        Stamps lie close to `ended` when they were made before it and close to `begins` when after it.
        """
        middle = (self.ended + self.begins) // 2
        return received <= middle if self.begins >= self.ended else received > middle


class Watch:
    """The clocks at the last beat."""

    def __init__(self, now_us: int, monotonic_s: float) -> None:
        self._now_us = now_us
        self._monotonic_s = monotonic_s

    def beat(self, now_us: int, monotonic_s: float) -> Break | None:
        """Take both clocks, and return the break since the last beat if there was one."""
        passed = round((monotonic_s - self._monotonic_s) * SECOND_US)
        before, self._now_us, self._monotonic_s = self._now_us, now_us, monotonic_s
        moved = now_us - before - passed
        if abs(moved) > JUMP_US:
            return Break("clock-jump", before, now_us, moved)
        if passed > STALL_US:
            return Break("gateway-stalled", before, now_us, 0)
        return None
