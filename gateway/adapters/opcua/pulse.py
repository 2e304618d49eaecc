"""Whether a session's server must be asked for its time: that is the keep-alive, and the measure of its clock. Pure.

A server that publishes need not be asked whether it lives. Its answers carry its time, too, delayed by their way: the
least delayed of each period shows a clock that moved.
"""

KEEP_ALIVE_S = 3.0
_CLOCK_EVERY_S = 9.0
_CLOCK_MOVED_US = 100_000


class Pulse:
    """What one session heard; `now_s` is the event loop's time throughout.

    heard_s: when something was published last, or the subscription began.
    """

    def __init__(self, now_s: float) -> None:
        self.heard_s = now_s
        self._measured_s = -_CLOCK_EVERY_S
        self._ahead_us: int | None = None
        self._known_us: int | None = None

    def heard(self, now_s: float, ahead_us: int) -> None:
        """Note that something was published. ahead_us: the server's time in it, less when it came."""
        self.heard_s = now_s
        if self._ahead_us is None or ahead_us > self._ahead_us:
            self._ahead_us = ahead_us

    def must_ask(self, now_s: float) -> bool:
        """Tell, once each period, whether the server is to be asked now."""
        ahead_us, self._ahead_us = self._ahead_us, None
        moved = False
        if ahead_us is not None:
            moved = self._known_us is None or abs(ahead_us - self._known_us) > _CLOCK_MOVED_US
            self._known_us = ahead_us if moved else self._known_us
        silent = now_s - self.heard_s >= KEEP_ALIVE_S
        return moved or silent or now_s - self._measured_s >= _CLOCK_EVERY_S

    def measured(self, now_s: float) -> None:
        """Note that the server's clock was measured."""
        self._measured_s = now_s

    def ask_soon(self) -> None:
        """Have the clock measured again: somebody does not know it."""
        self._measured_s = -_CLOCK_EVERY_S
