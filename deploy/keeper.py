"""The keeper: partitions, roll-ups, the disk budget, who holds which devices, and the documents of every gateway."""

import asyncio

from pydantic import BaseModel, ConfigDict

from bus.monitor import monitor
from bus.settings import BusSettings
from muster.clock import SystemClock
from services.ledger.assigner import assign
from services.ledger.publisher import publish
from store.housekeeping import Housekeeping


class Settings(BaseModel):
    """owner: connection string of the tables' owner; database: of `muster_api`, for the device documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    database: str
    bus: BusSettings
    disk_budget_bytes: int
    partition_minutes: int
    monitor_port: int | None = None


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set.

    Raises:
        ConfigError: an address, a password or a role's rights are wrong.
    """
    housekeeping = Housekeeping(
        settings.owner, settings.disk_budget_bytes, settings.partition_minutes, SystemClock()
    )
    checks = {"partitions": lambda: None if housekeeping.ready.is_set() else "no partitions for now yet"}
    async with monitor(settings.monitor_port, checks), asyncio.TaskGroup() as tasks:
        tasks.create_task(housekeeping.run(stop), name="housekeeping")
        tasks.create_task(publish(settings.database, settings.bus, stop), name="publisher")
        tasks.create_task(assign(settings.database, settings.bus, stop), name="assigner")
