"""Brokers for the tests: mosquitto and the NATS server, on loopback, and the room's counterpart of a gateway."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from deploy.nats import program
from gateway.adapter import Workplace
from gateway.adapters.mqtt.room import MqttRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.events import Event
from muster.scans import How
from tests.conftest import a_free_port
from tests.hearing import Hearing, Seen


def mosquitto_program() -> str:
    """Return mosquitto's program, or skip the test."""
    found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if found is None:
        pytest.skip("no mosquitto here (Debian: mosquitto)")
    return found


def wait_for(port: int, process: "subprocess.Popen[bytes] | None") -> None:
    """Wait until a broker listens on a port."""
    assert process is not None
    for _ in range(500):
        assert process.poll() is None, "the broker ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("the broker does not listen")


@dataclass
class Broker:
    """A broker that can be stopped and started again with what it keeps."""

    command: list[str]
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for(self.port, self.process)

    def stop(self) -> None:
        """Stop it in good order, so that it keeps its sessions."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    @property
    def at(self) -> dict[str, Any]:
        """The `broker` of a device's connection."""
        return {"host": "127.0.0.1", "port": self.port, "connect_timeout_ms": 3000, "backoff_max_s": 0.3}


@contextmanager
def mosquitto(folder: Path, more: str = "", own: str = "allow_anonymous true") -> Iterator[Broker]:
    """Run mosquitto; `own` stands behind its plain listener, `more` at the end of its file."""
    program_path = mosquitto_program()
    port = a_free_port()
    file = folder / "mosquitto.conf"
    file.write_text(
        f"per_listener_settings true\nuser root\npersistence true\npersistence_location {folder}/\n"
        f"max_inflight_messages 0\nmax_queued_messages 0\nlistener {port} 127.0.0.1\n{own}\n{more}\n"
    )
    broker = Broker([program_path, "-c", str(file)], port, folder / "mosquitto.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def nats(folder: Path) -> Iterator[Broker]:
    """Run a NATS server that speaks MQTT."""
    port, own = a_free_port(), a_free_port()
    file = folder / "nats.conf"
    file.write_text(
        f'listen: 127.0.0.1:{own}\nserver_name: test\njetstream {{store_dir: "{folder}/js"}}\n'
        f"mqtt {{listen: 127.0.0.1:{port}, ack_wait: 2s}}\n"
    )
    broker = Broker([str(program()), "-c", str(file)], port, folder / "nats.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def publisher(broker: Broker, name: str = "press-1", **will: Any) -> Iterator[paho.Client]:
    """Connect a device, as paho's own thread does it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
    client.max_inflight_messages_set(1000)
    client.reconnect_delay_set(1, 1)
    if will:
        client.will_set(**will)
    client.connect("127.0.0.1", broker.port, 10)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


class Outbox(Hearing[Seen]):
    """A sink whose content becomes durable when `seal` is called, or at once."""

    def __init__(self, *, at_once: bool = True, collecting: bool = True) -> None:
        super().__init__()
        self.at_once, self.collecting = at_once, collecting
        self.told: list[Callable[[int], None]] = []
        self.cutting: list[Callable[[], bool]] = []

    def keep(self, seen: Seen) -> None:
        self.scans.append(seen)
        self._soon()

    def event(self, event: Event) -> None:
        super().event(event)
        self._soon()

    def mark(self) -> int | None:
        return self.sealed + 1 if self.collecting else None

    def watch_sealed(self, told: Callable[[int], None]) -> Callable[[], None]:
        self.told.append(told)
        return lambda: self.told.remove(told)

    def watch_cut(self, told: Callable[[], bool]) -> Callable[[], None]:
        self.cutting.append(told)
        return lambda: self.cutting.remove(told)

    def seal(self) -> None:
        """Make durable what was put, if all is written that must stand before it."""
        if not all(write() for write in tuple(self.cutting)):
            return
        self.sealed += 1
        for told in tuple(self.told):
            told(self.sealed)

    def values(self, device: int = 1, how: How = How.UNSOLICITED) -> list[float]:
        """Return the first value of each of a device's scans that came so."""
        return [float(one.value[0]) for one in self.scans if one.device == device and one.how is how]

    def _soon(self) -> None:
        if self.at_once:
            asyncio.get_running_loop().call_soon(self.seal)


def tag(position: int, name: str, kind: str = "float64", **more: Any) -> Tag:
    """Return a tag; `path`, `topic` and `command` are its address."""
    address = {key: more.pop(key) for key in ("path", "topic", "command") if key in more}
    return Tag(position=position, name=name, type=kind, address=address, **more)


def device(
    number: int, broker: dict[str, Any], tags: list[Tag], interval_s: float = 1.0, **connection: Any
) -> Device:
    """Return a device."""
    connection.setdefault("topic", f"plant/press-{number}/data")
    return Device(
        number=number,
        version=1,
        code=f"D-{number}",
        name=f"{number}号压力机",
        enterprise=1,
        protocol="mqtt",
        connection={"broker": broker, **connection},
        report_mode=ReportMode.PERIODIC,
        interval_s=interval_s,
        tags=tags,
    )


@asynccontextmanager
async def working(
    folder: Path, *devices: Device, outbox: Outbox | None = None
) -> AsyncIterator[tuple[MqttRoom, Outbox]]:
    """Run a room that watches these devices, and wait until each broker was heard of."""
    sink = outbox or Outbox()
    room = MqttRoom(sink, SystemClock(), Workplace(1, "test", folder / "mqtt"))
    task = asyncio.create_task(room.run())
    before = len(sink.events)
    await room.configure({one.number: one for one in devices})
    try:
        await until(lambda: not devices or len(sink.events) > before or task.done())
        await asyncio.sleep(0.1)  # the broker has read the subscription
        yield room, sink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)
