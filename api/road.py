"""The API's way to the gateways: one connection to the bus that is looked for as long as it is away."""

import asyncio
from typing import Any

from nats.aio.client import Client

from bus import connection
from bus.settings import BusSettings
from muster.errors import Unavailable


class Road:
    """A connection to the bus, once there is one."""

    def __init__(self, settings: BusSettings | None, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self.connected = asyncio.Event()
        """Set once the bus was reached."""

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, patiently, and stay connected until `stop`."""
        if self._settings is None:
            return
        self._client = await connection.connect_patiently(self._settings, "api", stop)
        if self._client is None:
            return
        self.connected.set()
        try:
            await stop.wait()
        finally:
            await self._client.close()

    def check(self) -> str | None:
        """Return what is wrong with the bus, None when nothing is."""
        if self._settings is None or (self._client is not None and self._client.is_connected):
            return None
        return "away: devices cannot be asked anything now"

    async def ask(
        self, subject: str, question: dict[str, Any], timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Ask a gateway and return its answer, within `timeout_s` or the usual time.

        Raises:
            Unavailable: the bus is away, or the gateway does not answer in time.
            RequestError: the gateway refused.
        """
        if self._client is None or not self._client.is_connected:
            raise Unavailable("bus: away")
        return await connection.ask(self._client, subject, question, timeout_s or self._timeout_s)
