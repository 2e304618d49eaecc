"""The simulators' process: a fleet, its control, its health."""

import asyncio
import resource

import structlog
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bus.monitor import monitor
from muster.clock import SystemClock
from muster.errors import ConfigError
from simulators.control import serve
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.settings import Settings

_FILES_BESIDE_CONNECTIONS = 128
_CONNECTIONS_PER_DEVICE = 2
_LATE_S = 10.0
_log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Simulate until `stop` is set.

    Raises:
        ConfigError: there are too few ports, or the token cannot be read. Unavailable: a port is taken.
    """
    wanted = endpoint_count(settings.devices)
    if len(settings.ports) != wanted:
        raise ConfigError(
            f"ports: {settings.devices} devices have {wanted} endpoints, not {len(settings.ports)}"
        )
    try:
        token = settings.token_file.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"token_file {settings.token_file}: {error.strerror}") from error
    if not token:
        raise ConfigError(f"token_file {settings.token_file}: is empty")
    _allow_open_files(wanted + _CONNECTIONS_PER_DEVICE * settings.devices + _FILES_BESIDE_CONNECTIONS)
    stations = lay_out(settings.devices, settings.seed)
    fleet = Fleet(
        stations,
        settings.host,
        settings.ports,
        settings.seed,
        SystemClock(),
        settings.protocols,
        settings.broker,
        settings.certificates,
    )
    metrics = FleetMetrics(fleet)
    REGISTRY.register(metrics)
    try:
        await fleet.open()
        async with (
            monitor(settings.monitor_port, {"machines": lambda: _standing(fleet, settings.step_s)}),
            serve(fleet, settings.control_port, token),
            asyncio.TaskGroup() as group,
        ):
            working = group.create_task(fleet.run(settings.step_s), name="fleet")
            await stop.wait()
            working.cancel()
    finally:
        REGISTRY.unregister(metrics)
        await fleet.close()


def _standing(fleet: Fleet, step_s: float) -> str | None:
    """Say whether the machines have not moved on for much longer than a step."""
    standing_s = fleet.standing_s()
    return f"no step for {standing_s:.0f} s" if standing_s > step_s + _LATE_S else None


class FleetMetrics(Collector):
    """What the fleet shows of itself, read when asked."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> list[Metric]:
        """Return the figures of this moment."""
        endpoints = self._fleet.endpoints
        figures: list[Metric] = [
            CounterMetricFamily(
                "muster_simulator_requests",
                "Requests that reached the simulated equipment",
                value=sum(endpoint.requests for endpoint in endpoints),
            )
        ]
        for name, help_text, value in (
            ("devices", "Simulated devices", len(self._fleet.stations)),
            ("endpoints_listening", "Endpoints that listen", sum(one.listening for one in endpoints)),
            ("connections", "Connections open now", sum(one.connections for one in endpoints)),
            ("faults", "Faults in force", len(self._fleet.faults.in_force())),
        ):
            figures.append(GaugeMetricFamily(f"muster_simulator_{name}", help_text, value=value))
        return figures


def _allow_open_files(wanted: int) -> None:
    """Raise this process's limit of open files to `wanted`, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning("open-files-limited", wanted=wanted, allowed=allowed)
