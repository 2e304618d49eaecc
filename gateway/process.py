"""The gateway process: puts the parts together and takes them apart in good order.

The order matters. At the start: recover what an earlier process left, then watch, then the bus, which nothing
waits for. At the end: the watch, then rooms, then the last seal, then a short while for the bus to take it.
"""

import asyncio
import contextlib
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.errors import Error as NatsError

from bus.connection import connect
from bus.monitor import monitor
from gateway.adapter import Workplace, protocols
from gateway.collector import Collector
from gateway.documents import Copy
from gateway.follower import Follower
from gateway.lease import Lease
from gateway.metrics import GatewayMetrics, Totals, shown
from gateway.outbox.folder import Folder
from gateway.publisher import Publisher
from gateway.recorder import Recorder
from gateway.recovery import Recovered, absence, recover
from gateway.requests import Requests
from gateway.settings import Settings, read_key
from gateway.share import Share
from gateway.supervisor import Supervisor
from muster.clock import Clock, SystemClock
from muster.errors import ConfigError, Unavailable

_log = structlog.get_logger()

DRAIN_S = 3.0
"""How long a gateway that stops lets the bus take what it just sealed."""

_LOOK_S = 1.0
_AWAY_S = 10.0
_DISK_PAUSE_S = 1.0
_CONNECT_PAUSE_S = 1.0
_REFUSED_PAUSE_S = 5.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Be a gateway until `stop` is set.

    Raises:
        ConfigError: the key, the outbox folder or the monitor's port cannot be used.
    """
    key = read_key(settings.key_file)
    clock = SystemClock()
    folder = Folder(settings.outbox_dir)
    try:
        recovered = await _recover(settings, folder, key, clock, stop)
        if recovered is not None:
            with contextlib.closing(recovered.outbox):
                await _Gateway(settings, folder, recovered, clock).run(stop)
    finally:
        folder.close()


async def _recover(
    settings: Settings, folder: Folder, key: Ed25519PrivateKey, clock: Clock, stop: asyncio.Event
) -> Recovered | None:
    """Recover as soon as the disk allows; None when `stop` is set first."""
    while not stop.is_set():
        try:
            return await asyncio.to_thread(
                recover, folder, settings.outbox_limit_bytes, settings.gateway, key, clock.now_us()
            )
        except Unavailable as error:
            _log.error("recovery-waits", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _DISK_PAUSE_S)
    return None


class _Gateway:
    """The parts at work."""

    def __init__(self, settings: Settings, folder: Folder, recovered: Recovered, clock: Clock) -> None:
        self._settings = settings
        self._recovered = recovered
        self._clock = clock
        self._client: Client | None = None
        self._outbox = recovered.outbox
        self._collector = Collector(recovered.next_number)
        self._publisher = Publisher(self._outbox, settings.gateway)
        self._recorder = Recorder(
            self._collector,
            recovered.sealer,
            self._outbox,
            recovered.journal,
            clock,
            settings.seal_interval_s,
            self._publisher.wake,
        )
        self._supervisor = Supervisor(
            self._collector,
            clock,
            protocols(),
            Workplace(settings.gateway, settings.name, settings.rooms_dir),
        )
        self._lease = (
            Lease(settings.gateway, clock.now_us, lambda: self._share.released()) if settings.shared else None
        )
        self._share = Share(self._lease, self._supervisor.apply, self._collector.event, clock)
        self._collector.fence = self._supervisor.fence = self._share.closed
        self._follower = Follower(settings.gateway, Copy(folder, settings.gateway), self._share.take)
        self._requests = Requests(settings.gateway, self._supervisor, self._share, self.status)
        self._totals = Totals(self._supervisor)

    async def run(self, stop: asyncio.Event) -> None:
        metrics = GatewayMetrics(
            self._collector, self._recorder, self._outbox, self._publisher, self._supervisor, self._totals
        )
        checks = {
            "bus": self._check_bus,
            "outbox": lambda: self._recorder.trouble,
            "journal": self._check_journal,
        }
        with shown(metrics):
            try:
                async with monitor(self._settings.monitor_port, checks), asyncio.TaskGroup() as group:
                    await self._work(group, stop)
            finally:
                self._recorder.close()

    async def _work(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        still = asyncio.Event()
        self._recorder.begin(absence(self._recovered.before, self._recovered.tail, self._clock.now_us()))
        beats = group.create_task(
            self._recorder.run(still, self._settings.journal_interval_s), name="recorder"
        )
        rooms = group.create_task(self._supervisor.run(), name="supervisor")
        totals = group.create_task(self._totals.run(), name="totals")
        await self._follower.start()
        minding = None
        if self._lease is not None:
            minding = group.create_task(self._mind(self._lease), name="lease watch")
        road = group.create_task(self._stay_on_bus(), name="bus")
        await stop.wait()
        still.set()
        await asyncio.wait([beats])
        self._recorder.end()
        rooms.cancel()
        await asyncio.wait([rooms])
        await self._recorder.finish()
        if self._lease is not None and minding is not None:
            minding.cancel()
            if self._client is not None:
                await self._lease.end(self._client)
        drained = await self._publisher.drain(DRAIN_S if self._on_bus else 0)
        _log.info("stopped", drained=drained, outbox_bytes=self._outbox.size)
        for task in (road, totals):
            task.cancel()

    async def _mind(self, lease: Lease) -> None:
        """Begin and end work under the lease as it is obtained and runs out."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lease.changed.wait(), lease.left_s)
            lease.changed.clear()
            await self._share.look()

    async def _stay_on_bus(self) -> None:
        """Connect and work over the bus, again and again: acquisition never depends on it."""
        said = ""
        while True:
            pause_s = _CONNECT_PAUSE_S
            try:
                client = await connect(self._settings.bus, f"gateway {self._settings.name}")
            except (Unavailable, ConfigError) as error:
                if isinstance(error, ConfigError):
                    pause_s = _REFUSED_PAUSE_S
                if str(error) != said:
                    _log.warning("bus-away", error=str(error))
                    said = str(error)
            else:
                said = ""
                await self._use(client)
            await asyncio.sleep(pause_s)

    async def _use(self, client: Client) -> None:
        """Work over one connection until it is closed, or away for so long that a new one is worth a try.

        The client reconnects for ever with the secret that it once read; a new connection reads it again.
        """
        self._client = client
        try:
            await self._requests.serve(client)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._publisher.run(client), name="publisher"),
                    group.create_task(self._follower.run(client), name="follower"),
                ]
                if self._lease is not None:
                    tasks.append(group.create_task(self._lease.run(client), name="lease"))
                away_s = 0.0
                while not client.is_closed and away_s < _AWAY_S:
                    await asyncio.sleep(_LOOK_S)
                    away_s = 0.0 if client.is_connected else away_s + _LOOK_S
                _log.warning("bus-connection-given-up")
                for task in tasks:
                    task.cancel()
        except NatsError as error:
            _log.warning("bus-connection-lost", error=str(error))
        finally:
            self._client = None
            with contextlib.suppress(NatsError, OSError):
                await client.close()

    @property
    def _on_bus(self) -> bool:
        return self._client is not None and self._client.is_connected

    def _check_bus(self) -> str | None:
        return self._publisher.problem if self._on_bus else "the bus is away"

    def _check_journal(self) -> str | None:
        return self._recovered.journal.failed

    def status(self) -> dict[str, Any]:
        """Return what the gateway says of itself when asked for diagnostics."""
        return {
            "gateway": self._settings.gateway,
            "name": self._settings.name,
            "epoch": self._recovered.sealer.epoch,
            "devices": len(self._supervisor.devices),
            "paused": self._recorder.trouble,
            "publishing": self._publisher.problem,
            "published": self._publisher.published,
            "outbox_bytes": self._outbox.size,
            "outbox_limit_bytes": self._outbox.limit_bytes,
            "outbox_unsent_s": self._outbox.unsent_us / 1e6,
            "outbox_damaged": self._outbox.damage.places,
            "documents": self._follower.problem,
            "lease": None if self._lease is None else {"term": self._lease.term, "valid": self._lease.valid},
            **self._share.counts,
        }
