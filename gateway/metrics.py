"""What a gateway shows to Prometheus: read from plain counters at the moment of asking, free in between."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as MetricSource

from gateway.collector import Collector
from gateway.outbox.store import Outbox
from gateway.publisher import Publisher
from gateway.recorder import Recorder
from gateway.supervisor import Supervisor
from muster.errors import RequestError, Unavailable

_ADD_UP_S = 10.0
_AT_ONCE = 50


class Totals:
    """Polls, answers and errors added up over all devices now and then, a few devices at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.polls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self._supervisor = supervisor

    async def run(self) -> None:
        """Add up every ten seconds until cancelled."""
        while True:
            await self.add_up()
            await asyncio.sleep(_ADD_UP_S)

    async def add_up(self) -> None:
        """Add up once."""
        polls: Counter[str] = Counter()
        answers: Counter[str] = Counter()
        errors: Counter[tuple[str, str]] = Counter()
        for index, number in enumerate(list(self._supervisor.devices)):
            if index % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                room, device = self._supervisor.room(number)
                counters = room.diagnostics(number)
            except (RequestError, Unavailable, KeyError):
                continue
            polls[device.protocol] += counters.polls
            answers[device.protocol] += counters.answers
            for kind, count in counters.errors.items():
                errors[device.protocol, kind] += count
        self.polls, self.answers, self.errors = polls, answers, errors


class GatewayMetrics(MetricSource):
    """The gateway's metrics in the process's registry."""

    def __init__(
        self,
        collector: Collector,
        recorder: Recorder,
        outbox: Outbox,
        publisher: Publisher,
        supervisor: Supervisor,
        totals: Totals,
    ) -> None:
        self._collector = collector
        self._recorder = recorder
        self._outbox = outbox
        self._publisher = publisher
        self._supervisor = supervisor
        self._totals = totals

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks for no values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give all metrics as they are now."""
        for name, text, count in (
            ("scans", "Scans that rooms acquired", self._collector.scans),
            ("readings", "Readings in them", self._collector.readings),
            (
                "refused_scans",
                "Scans outside any watch, or without values or a possible time",
                self._collector.refused,
            ),
            ("seals", "Seals made durable in the outbox", self._recorder.seals),
            ("batches_published", "Batches acknowledged by the stream", self._publisher.published),
            ("batches_duplicate", "Batches that the stream knew already", self._publisher.duplicates),
            ("publish_retries", "Attempts to publish that were not acknowledged", self._publisher.retries),
            ("outbox_damaged", "Damaged places met while reading the outbox", self._outbox.damage.places),
            ("room_restarts", "Rooms made anew after a failure", self._supervisor.restarts),
        ):
            yield CounterMetricFamily(f"muster_gateway_{name}", text, value=count)
        for name, text, value in (
            ("devices", "Devices that are watched", len(self._supervisor.devices)),
            ("outbox_bytes", "Bytes of the outbox on disk", self._outbox.size),
            ("outbox_limit_bytes", "Bytes at which acquisition pauses", self._outbox.limit_bytes),
            ("outbox_unsent_seconds", "Watched time not yet on the bus", self._outbox.unsent_us / 1e6),
            ("paused", "1 while acquisition is paused", int(self._recorder.trouble is not None)),
        ):
            yield GaugeMetricFamily(f"muster_gateway_{name}", text, value=value)
        events = CounterMetricFamily("muster_gateway_events", "Events by kind", labels=["kind"])
        for kind, count in self._collector.events.items():
            events.add_metric([kind], count)
        yield events
        for name, text, by_protocol in (
            ("polls", "Polls sent", self._totals.polls),
            ("answers", "Valid answers", self._totals.answers),
        ):
            family = CounterMetricFamily(f"muster_gateway_{name}", text, labels=["protocol"])
            for protocol, count in by_protocol.items():
                family.add_metric([protocol], count)
            yield family
        errors = CounterMetricFamily("muster_gateway_errors", "Errors by kind", labels=["protocol", "kind"])
        for (protocol, kind), count in self._totals.errors.items():
            errors.add_metric([protocol, kind], count)
        yield errors
        yield from self._publisher.latency.collect()


@contextmanager
def shown(metrics: GatewayMetrics) -> Iterator[None]:
    """Show these metrics while the block runs."""
    REGISTRY.register(metrics)
    try:
        yield
    finally:
        REGISTRY.unregister(metrics)
