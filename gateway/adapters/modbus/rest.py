"""How long to leave alone what fails again and again: doubling, up to a limit, with jitter.

Pure but for the dice, which are passed in.
"""

import random


class Rest:
    """The rest of one unit or of one line; times in seconds of the clock that its user keeps.

    reason: its user's note of what failed last.
    """

    __slots__ = ("_dice", "_first_s", "failures", "reason", "until")

    def __init__(self, first_s: float, dice: random.Random | None = None) -> None:
        self.until = 0.0
        self.failures = 0
        self.reason = ""
        self._first_s = first_s
        self._dice = dice or random.Random()

    def extend(self, now: float, longest_s: float, free: int = 0) -> float:
        """Rest after one failure more, of which the first `free` ones in a row cost nothing; return how long."""
        self.failures += 1
        doublings = self.failures - 1 - free
        pause_s = 0.0
        if doublings >= 0:
            pause_s = min(self._first_s * 2.0 ** min(doublings, 30), longest_s) * self._dice.uniform(0.5, 1.0)
        self.until = now + pause_s
        return pause_s

    def clear(self) -> None:
        """Rest no more: it works."""
        self.failures = 0
        self.until = 0.0
