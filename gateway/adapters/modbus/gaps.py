"""What was never acquired from one device, listed piece by piece.

Pure. A gap lasts from the first poll that brought nothing to the next answer. It is listed as soon as it is known, and
a lasting one in pieces: a gateway that is killed leaves at most one piece unlisted. A poll that became due while
another was under way is held back until that one ends: it shares its reason when it failed.
"""

from collections.abc import Callable

LONGEST_PIECE_US = 10_000_000


class Gaps:
    """One device's gaps. `listed` is told from, until (µs since 1970), reason and number of polls of each piece."""

    def __init__(self, listed: Callable[[int, int, str, int], None]) -> None:
        self._listed = listed
        self._since: int | None = None
        self._until = 0
        self._reason = ""
        self._polls = 0
        self._held_from: int | None = None
        self._held = 0
        self._held_reason = ""
        self._piece_us = 0

    @property
    def open(self) -> bool:
        """Whether an answer would change anything."""
        return self._since is not None or self._held_from is not None

    @property
    def reason(self) -> str:
        """Why the last poll brought nothing."""
        return self._reason

    def miss(self, from_us: int, now_us: int, reason: str, polls: int = 1) -> None:
        """Note polls that brought nothing, the first of them due at `from_us`."""
        polls += self._held
        if self._held_from is not None:
            from_us = min(from_us, self._held_from)
        self._held_from, self._held = None, 0
        if self._since is None:
            self._since, self._piece_us = from_us, 0
        elif reason != self._reason:
            self._list(max(self._since, min(from_us, now_us)))
        self._reason = reason
        self._polls += polls
        self._until = max(self._since, now_us)
        if self._until - self._since >= self._piece_us:
            self._list(self._until)
            self._piece_us = min(max(1_000_000, 2 * self._piece_us), LONGEST_PIECE_US)

    def hold(self, due_us: int, reason: str) -> None:
        """Note a poll that was due while another was under way, for `reason` unless that one fails."""
        if self._held_from is None:
            self._held_from = due_us
        self._held += 1
        self._held_reason = reason

    def end(self, now_us: int) -> None:
        """Note an answer, or that nobody polls the device any more."""
        if self._held_from is not None:
            self.miss(self._held_from, now_us, self._held_reason, polls=0)
        if self._since is not None:
            self._list(max(self._since, now_us))
            self._since = None

    def _list(self, until_us: int) -> None:
        assert self._since is not None
        if self._polls or until_us > self._since:
            self._listed(self._since, until_us, self._reason, self._polls)
        self._since, self._polls = until_us, 0
