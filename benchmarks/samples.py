"""Paired samples and how they are told: medians, and ratios taken within a pair.

Machines are noisy over minutes, so a figure and its limit are measured right after one another, the pair is
repeated, and the median of the pairs' ratios is quoted.
"""

import resource
import statistics
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pairs:
    """What was measured against its limit, pair by pair."""

    ours: list[float] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)

    def add(self, ours: float, limit: float) -> None:
        """Add one pair, both in the same unit."""
        self.ours.append(ours)
        self.limit.append(limit)

    @property
    def ratio(self) -> float:
        """The median over the pairs of ours ÷ limit."""
        return statistics.median(a / b for a, b in zip(self.ours, self.limit, strict=True))

    def summary(self) -> dict[str, float | int]:
        """Return medians, the ratio with its range, and how many pairs there were."""
        ratios = [a / b for a, b in zip(self.ours, self.limit, strict=True)]
        return {
            "ours": statistics.median(self.ours),
            "limit": statistics.median(self.limit),
            "ratio": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "n": len(ratios),
        }


def own_cpu_s() -> float:
    """Return this process's CPU time so far, user and system, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
