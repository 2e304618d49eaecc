"""What a birth said of the metrics of an edge node or device, and what later messages mean by it. Pure.

An alias or name that no birth gave, or another datatype than it gave, means nothing: it might be another metric by now.
"""

from gateway.adapters.sparkplug.outcomes import Reading
from muster.errors import Rejected
from muster.sparkplug import DataType, Form, Metric, typed

_TEXTUAL = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID})


class Table:
    """What a birth said of a node's or device's metrics."""

    __slots__ = ("_form", "_named", "aliases", "names")

    def __init__(self, metrics: list[Metric]) -> None:
        self.names = {one.name: one for one in metrics if one.name}
        self.aliases = {one.alias: one for one in metrics if one.alias is not None and one.name}
        self._form: Form | None = None
        self._named: tuple[str, ...] | None = None

    def named(self, form: Form) -> tuple[str, ...] | None:
        """Return the names of a form's metrics; None unless all are known as numbers of the kind that came."""
        if form is not self._form:
            self._form = form
            known = [self.aliases.get(alias) for alias in form.aliases]
            names = [
                one.name
                for one, carrier in zip(known, form.carriers, strict=True)
                if one is not None and one.datatype is carrier
            ]
            self._named = tuple(names) if len(names) == len(known) else None
        return self._named

    def readings(self, metrics: list[Metric]) -> tuple[list[Reading], Metric | None]:
        """Return what metrics of a message say, and the last of those that mean nothing."""
        readings: list[Reading] = []
        unknown: Metric | None = None
        for metric in metrics:
            known = (
                self.aliases.get(metric.alias) if metric.alias is not None else self.names.get(metric.name)
            )
            if known is None or (metric.name and metric.name != known.name):
                unknown = metric
                continue
            datatype, value = known.datatype, metric.value
            if metric.datatype is DataType.UNKNOWN:
                if value is not None:
                    try:
                        value = typed(value, datatype)
                    except Rejected as error:
                        metric.problem, value = str(error), None
            elif metric.datatype is not datatype and not {metric.datatype, datatype} <= _TEXTUAL:
                unknown = metric
                continue
            readings.append(Reading(known.name, datatype, value, metric))
        return readings, unknown
