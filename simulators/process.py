"""The simulators' process: a fleet, its control, its health."""

import asyncio

from bus.monitor import monitor
from muster.clock import SystemClock
from muster.errors import ConfigError
from simulators.control import serve
from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import endpoint_count, lay_out
from simulators.settings import Settings


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
    stations = lay_out(settings.devices, settings.seed)
    fleet = Fleet(stations, settings.host, settings.ports, settings.seed, SystemClock())
    await fleet.open()
    try:
        async with monitor(settings.monitor_port, {}), serve(fleet, settings.control_port, token):
            working = asyncio.create_task(fleet.run(settings.step_s), name="fleet")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            working.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
    finally:
        await fleet.close()
