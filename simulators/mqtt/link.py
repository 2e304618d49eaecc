"""A connection of simulated equipment to a broker: kept up, with a will, and with the faults a connection can have.

paho works in a thread of its own; what is heard, and that the broker is there, is told to the loop that opened.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel, ConfigDict, Field

from muster.errors import ConfigError
from simulators.equipment import Equipment
from simulators.faults import Fault, FaultKind

_log = structlog.get_logger()


class Broker(BaseModel):
    """Where simulated equipment publishes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    username: str | None = None
    password_file: Path | None = None

    @property
    def password(self) -> str | None:
        """The secret in the file. Raises ConfigError when it cannot be read."""
        try:
            return None if self.password_file is None else self.password_file.read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"password_file {self.password_file}: {error.strerror}") from error


class Will(NamedTuple):
    """What the broker publishes (QoS 1) when the connection ends without a farewell."""

    topic: str
    payload: bytes
    retain: bool


class Link:
    """One client id at one broker.

    will: asked for before each attempt to connect, by paho's thread; filters: subscribed (QoS 1) before `up` is
    called; heard: called with a topic and a payload.
    """

    def __init__(
        self,
        client_id: str,
        broker: Broker,
        filters: Sequence[str],
        will: Callable[[], Will],
        up: Callable[[], None],
        heard: Callable[[str, bytes], None],
    ) -> None:
        self._client_id = client_id
        self._broker = broker
        self._filters = filters
        self._will = will
        self._up = up
        self._heard = heard
        self._clients: list[Client] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = False

    @property
    def connections(self) -> int:
        """How many connections are up."""
        return sum(client.is_connected() for client in self._clients)

    @property
    def wanted(self) -> bool:
        """Whether it is meant to be connected."""
        return bool(self._clients)

    @property
    def ready(self) -> bool:
        """Whether what is sent now goes out: the broker is there, and `up` was called."""
        return self.wanted and self._told and self._clients[0].is_connected()

    def open(self) -> None:
        """Connect as soon as the broker answers."""
        if not self._clients:
            self._loop = asyncio.get_running_loop()
            self._connect()

    async def leave(self) -> None:
        """Disconnect in good order: the broker keeps the will for itself."""
        leaving, self._clients = self._clients, []
        for client in leaving:
            await _end(client)

    async def twin(self, wanted: bool) -> None:
        """Let a second client use the same id, so that the broker ends one for the other; or no longer."""
        while len(self._clients) > 1:
            await _end(self._clients.pop())
        if wanted:
            self._connect()

    def drop(self) -> None:
        """End the connection without a farewell: the broker publishes the will."""
        for client in self._clients:
            if (connection := client.socket()) is not None:
                connection.close()

    def send(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish, unless the broker is away: what is measured then is lost."""
        if self.ready:
            self._clients[0].publish(topic, payload, qos=qos, retain=retain)

    def _connect(self) -> None:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, clean_session=True)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.reconnect_delay_set(1, 5)
        client.max_queued_messages_set(1000)
        client.on_pre_connect = self._connecting
        client.on_connect = self._connected
        client.on_message = self._received
        client.connect_async(self._broker.host, self._broker.port, keepalive=30)
        client.loop_start()
        self._clients.append(client)

    def _arrived(self) -> None:
        self._told = True
        self._up()

    # Work of paho's thread.

    def _connecting(self, client: Client, _data: Any) -> None:
        self._told = False
        will = self._will()
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain)

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("simulator-refused", client=self._client_id, reason=str(reason))
            return
        client.subscribe([(name, 1) for name in self._filters])
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._arrived)

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._heard, message.topic, bytes(message.payload))


async def _end(client: Client) -> None:
    client.disconnect()
    await asyncio.to_thread(client.loop_stop)


class LinkedEquipment(Equipment):
    """Equipment whose endpoint is one connection to a broker; whoever makes it sets `_link`."""

    _link: Link

    @property
    def connections(self) -> int:
        """How many connections to the broker are up."""
        return self._link.connections

    @property
    def listening(self) -> bool:
        """Whether it is meant to be connected."""
        return self._link.wanted

    async def open(self) -> None:
        """Connect as soon as the broker answers."""
        self._link.open()

    async def _suffer(self, fault: Fault | None) -> None:
        if fault is not None and fault.kind is FaultKind.REFUSE:
            await self._refuse()
            return
        self._link.open()
        await self._link.twin(fault is not None and fault.kind is FaultKind.DUPLICATE_CLIENT)

    async def _refuse(self) -> None:
        """Be there no longer."""
        await self._link.leave()
