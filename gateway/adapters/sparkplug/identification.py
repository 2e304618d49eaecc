"""What births say a device is, and what follows for its origin: only ever pessimistic."""

from collections.abc import Mapping

from gateway.nameplate import origin_in
from muster.device import Origin
from muster.sparkplug import Metric

_FOLDERS = ("Properties/", "Node Info/", "Device Info/")
"""Where edge nodes put what they and their devices are, by custom."""
SIMULATED = "Simulated"
_MOST_FACTS = 32
_LONGEST_FACT = 200


def facts_of(metrics: Mapping[str, Metric], named: Mapping[str, str]) -> dict[str, str]:
    """Return the facts of a birth, each metric once; `named`: name of a fact → metric.

    That equipment calls itself simulated is kept under that name, whatever else is named or how many facts there are.
    """
    facts: dict[str, str] = {}
    for fact, name in named.items():
        _put(facts, fact, metrics.get(name))
    told = set(named.values())
    for name, metric in metrics.items():
        folder = next((one for one in _FOLDERS if name.startswith(one)), None)
        if folder is None:
            continue
        fact = name.removeprefix(folder)
        if fact == SIMULATED or (name not in told and len(facts) < _MOST_FACTS):
            _put(facts, fact, metric)
    return facts


def origin_of(facts: Mapping[str, str]) -> str | None:
    """Return simulated or replayed where equipment calls itself so, else nothing."""
    if facts.get(SIMULATED) == "true":
        return Origin.SIMULATED
    return origin_in(facts.values())


def _put(facts: dict[str, str], fact: str, metric: Metric | None) -> None:
    value = None if metric is None or metric.problem else metric.value
    if isinstance(value, bool):
        facts[fact] = "true" if value else "false"
    elif isinstance(value, str | int | float):
        facts[fact] = str(value)[:_LONGEST_FACT]
