"""What the equipment answered against what stands in the database: the comparison of the kill tests.

The equipment counts its own answers and returns the count in the answer, so every answer has a name: (device,
count). Each must be stored exactly once, in order, or lie inside a listed gap.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that the equipment gave, or one that the database holds; `at_us` in µs since 1970."""

    device: int
    count: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A listed gap, of one device or (device None) of all; µs since 1970, both ends included."""

    device: int | None
    from_us: int
    to_us: int


@dataclass(slots=True)
class Verdict:
    """What the comparison found; `silent` is the list that must be empty."""

    answered: int = 0
    stored: int = 0
    listed: int = 0
    silent: list[Answer] = field(default_factory=list)
    doubled: list[Answer] = field(default_factory=list)
    invented: list[Answer] = field(default_factory=list)
    disordered: list[Answer] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing silently, doubled, invented or out of order."""
        return not (self.silent or self.doubled or self.invented or self.disordered)


def compare(
    given: Iterable[Answer], stored: Iterable[Answer], gaps: Iterable[Gap], slack_us: int = 0
) -> Verdict:
    """Compare what the equipment gave with what is stored.

    stored: in the order of time per device. slack_us: how far the equipment's and the gateway's idea of an
    answer's instant may lie apart (an answer is received after it was given).
    """
    verdict = Verdict()
    holes = list(gaps)
    answered = {(answer.device, answer.count): answer for answer in given}
    verdict.answered = len(answered)
    seen: set[tuple[int, int]] = set()
    last: dict[int, int] = {}
    for answer in stored:
        name = (answer.device, answer.count)
        verdict.stored += 1
        if name in seen:
            verdict.doubled.append(answer)
        elif name not in answered:
            verdict.invented.append(answer)
        elif answer.count <= last.get(answer.device, 0):
            verdict.disordered.append(answer)
        seen.add(name)
        last[answer.device] = max(answer.count, last.get(answer.device, 0))
    for name, answer in answered.items():
        if name in seen:
            continue
        inside = any(
            hole.device in (None, answer.device)
            and hole.from_us - slack_us <= answer.at_us <= hole.to_us + slack_us
            for hole in holes
        )
        if inside:
            verdict.listed += 1
        else:
            verdict.silent.append(answer)
    return verdict
