"""An area's edge computer: one connection to the broker that publishes for all machines of the area.

    muster-sim/<site>/<device>/data     every step, QoS 1
    muster-sim/<site>/<device>/set      commands, answered on …/done
    muster-sim/<site>/status            online, retained; offline by the will

It takes the place of a Modbus endpoint in the fleet and has the same faults, as far as they have a meaning here.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel, ConfigDict, Field

from muster.clock import Clock
from muster.errors import ConfigError, RequestError
from simulators.equipment import Equipment, Place
from simulators.faults import Fault, FaultKind
from simulators.machines.machine import Machine

ROOT = "muster-sim"
KINDS = frozenset(FaultKind) - {
    FaultKind.WRONG_FUNCTION,
    FaultKind.WRONG_UNIT,
    FaultKind.WRONG_TRANSACTION,
    FaultKind.SUBSCRIPTION_LOST,
    FaultKind.RESTART,
}
_HOUR_MS = 3_600_000
_OVERSIZE_BYTES = 300_000
_SILENT = (FaultKind.HALF_OPEN, FaultKind.REFUSE, FaultKind.HEARTBEAT)
_log = structlog.get_logger()


class Broker(BaseModel):
    """Where simulated MQTT equipment publishes."""

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


def topic(site: str, device: str, what: str) -> str:
    """Return one of a device's topics."""
    return f"{ROOT}/{site}/{device}/{what}"


def status_topic(site: str) -> str:
    """Return the topic on which an area says whether it is there."""
    return f"{ROOT}/{site}/status"


class Publisher(Equipment):
    """One connection and its machines, by their place on the endpoint. seed: of what garbage looks like."""

    kinds = KINDS

    def __init__(
        self,
        number: int,
        site: str,
        broker: Broker,
        machines: Mapping[Place, Machine],
        clock: Clock,
        seed: int,
    ) -> None:
        super().__init__(number, broker.port)
        self._site = site
        self._broker = broker
        self._machines = machines
        self._clock = clock
        self._chance = random.Random(seed)
        self._clients: list[Client] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def connections(self) -> int:
        """How many connections to the broker are up."""
        return sum(client.is_connected() for client in self._clients)

    @property
    def listening(self) -> bool:
        """Whether it is meant to be connected."""
        return bool(self._clients)

    async def open(self) -> None:
        """Connect as soon as the broker answers."""
        if not self._clients:
            self._loop = asyncio.get_running_loop()
            self._connect()

    async def close(self) -> None:
        """Say that it leaves, and leave."""
        for client in self._clients:
            client.publish(status_topic(self._site), b"offline", qos=1, retain=True)
        await self._leave()

    async def _suffer(self, fault: Fault | None) -> None:
        if fault is not None and fault.kind is FaultKind.REFUSE:
            await self._leave()
            return
        await self.open()
        while len(self._clients) > 1:
            self._clients.pop().loop_stop()
        if fault is not None and fault.kind is FaultKind.DUPLICATE_CLIENT:
            self._connect()  # the broker ends one for the other, again and again

    def publish(self) -> None:
        """Publish what every machine measures now, or do what the fault in force says."""
        now_ms = self._clock.now_us() // 1000
        for place, machine in self._machines.items():
            self._say(machine, now_ms, self.fault_at(place))

    def _say(self, machine: Machine, now_ms: int, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind is FaultKind.HEARTBEAT:
            self._send(topic(self._site, machine.code, "alive"), b"1", retain=False)
        if kind in _SILENT or not self._clients:
            return
        if kind is FaultKind.DROP:
            for client in self._clients:
                if (connection := client.socket()) is not None:
                    connection.close()  # no farewell: the broker publishes the will
            return
        if kind in (FaultKind.CLOCK_AHEAD, FaultKind.CLOCK_BEHIND):
            now_ms += _HOUR_MS if kind is FaultKind.CLOCK_AHEAD else -_HOUR_MS
        said = machine.payload(now_ms)
        if kind is FaultKind.EXCEPTION:
            said = {"ts": now_ms, "values": dict.fromkeys(said["values"]), "device": said["device"]}
        if kind is FaultKind.OVERSIZE:
            said["padding"] = "x" * _OVERSIZE_BYTES
        payload = json.dumps(said, ensure_ascii=False).encode()
        if kind is FaultKind.GARBAGE:
            payload = self._chance.randbytes(self._chance.randint(4, 64))
        elif kind is FaultKind.SHORT_REPLY:
            payload = payload[: len(payload) // 2]
        name = topic(self._site, machine.code, "data")
        if kind is FaultKind.SLOW and fault is not None and self._loop is not None:
            self._loop.call_later(fault.delay_s, self._send, name, payload, False)
        else:
            self._send(name, payload, retain=kind is FaultKind.RETAINED)

    def _send(self, name: str, payload: bytes, retain: bool) -> None:
        if self._clients and self._clients[0].is_connected():
            self._clients[0].publish(name, payload, qos=1, retain=retain)

    def _connect(self) -> None:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"{ROOT}-{self._site}", clean_session=True)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.will_set(status_topic(self._site), b"offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 5)
        client.max_queued_messages_set(1000)
        client.on_connect = self._connected
        client.on_message = self._commanded
        client.connect_async(self._broker.host, self._broker.port, keepalive=30)
        client.loop_start()
        self._clients.append(client)

    async def _leave(self) -> None:
        leaving, self._clients = self._clients, []
        for client in leaving:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("simulator-refused", site=self._site, reason=str(reason))
            return
        client.subscribe(topic(self._site, "+", "set"), qos=1)
        client.publish(status_topic(self._site), b"online", qos=1, retain=True)

    def _commanded(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        """Work of paho's thread: hand the command to the loop, where the machines live."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._obey, client, message.topic, bytes(message.payload))

    def _obey(self, client: Client, name: str, command: bytes) -> None:
        self.requests += 1
        code = name.split("/")[-2]
        machine = next((one for one in self._machines.values() if one.code == code), None)
        if machine is None:
            return
        try:
            answer = machine.obey(command)
        except RequestError as error:
            answer = json.dumps({"error": str(error)}).encode()
        client.publish(topic(self._site, code, "done"), answer, qos=1)
