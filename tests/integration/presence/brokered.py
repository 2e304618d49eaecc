"""A press that publishes JSON and an edge node of Sparkplug B at the embedded broker: what may happen to them."""

import asyncio
import json
import time
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from muster.device import ReportMode
from muster.presence import State
from muster.sparkplug import DataType, Metric, Payload, encode
from tests.integration.presence.bench import Bench


class Client:
    """A publisher's connection, which can end without a farewell."""

    def __init__(self, port: int, name: str) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.client.username_pw_set("equipment", "sesame")
        self._port = port

    def connect(self) -> None:
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()

    def say(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def cut(self) -> None:
        connection = self.client.socket()
        if connection is not None:
            self.client.loop_stop()
            connection.close()


class Press:
    """A device of MQTT with a status topic as its will and a heartbeat."""

    def __init__(self, port: int, secret: Path, name: str) -> None:
        self.root, self._port, self._name = f"plant/{name}", port, name
        at = {"host": "127.0.0.1", "port": port, "username": "listener", "password_file": str(secret)}
        self.connection = {
            "broker": at,
            "topic": f"{self.root}/data",
            "payload": {"timestamp": {"path": "$.ts", "unit": "ms"}},
            "status": {"topic": f"{self.root}/status"},
            "heartbeat": f"{self.root}/alive",
        }
        self.line = Client(port, name)

    async def begin(self) -> None:
        self.line = self._begin()

    def bench(self, folder: Path) -> Bench:
        return Bench("mqtt", folder, self.connection, {"path": "$.t"}, ReportMode.PERIODIC)

    def _begin(self) -> Client:
        line = Client(self._port, self._name)
        line.client.will_set(f"{self.root}/status", b"offline", qos=1)
        line.connect()
        return line

    async def ready(self, bench: Bench) -> None:
        """Wait until the room hears the press."""
        while not bench.told("session_up"):
            await asyncio.to_thread(self.line.say, f"{self.root}/status", b"online")
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        self.line.cut()

    def _value(self, behind_s: float = 0.0, value: object = 1.5, retain: bool = False) -> None:
        stamp = round((time.time() - behind_s) * 1000)
        self.line.say(f"{self.root}/data", json.dumps({"ts": stamp, "t": value}).encode(), retain)

    async def value(self, bench: Bench) -> None:
        await self.ready(bench)
        self._value()
        await bench.becomes(State.CONNECTED)

    async def restart(self, bench: Bench) -> None:
        await self.cut(bench)
        self.line = self._begin()
        await asyncio.to_thread(self.line.say, f"{self.root}/status", b"online")
        self._value()

    async def cut(self, bench: Bench) -> None:
        await self.value(bench)
        self.line.cut()
        await bench.becomes(State.CONNECTED, State.OFFLINE)

    async def clock_behind(self, bench: Bench) -> None:
        await self._jump(bench, 3600)

    async def clock_ahead(self, bench: Bench) -> None:
        await self._jump(bench, -3600)

    async def _jump(self, bench: Bench, behind_s: float) -> None:
        await self.ready(bench)
        for _ in range(4):
            self._value(behind_s)
            await asyncio.sleep(0.55)  # what comes at once is no clock that jumped, but a backlog

    async def birth_only(self, bench: Bench) -> None:
        await self.ready(bench)

    async def ping_only(self, bench: Bench) -> None:
        await self.ready(bench)
        self.line.say(f"{self.root}/alive", b"1")

    async def retained_only(self, bench: Bench) -> None:
        self._value(retain=True)
        await bench.until(lambda: bench.collector.scans > 0)

    async def without_value(self, bench: Bench) -> None:
        await self.ready(bench)
        self._value(value=None)

    async def malformed(self, bench: Bench) -> None:
        await self.ready(bench)
        self.line.say(f"{self.root}/data", b'{"ts": 12, "t"')
        await bench.until(lambda: bench.told("error") > 0)

    async def replayed(self, bench: Bench) -> None:
        await self.ready(bench)
        for behind_s in (3600, 3599, 3598):
            self._value(behind_s)


class Line:
    """An edge node with one device."""

    def __init__(self, port: int, secret: Path, name: str) -> None:
        self._node, self._port, self._bd_seq, self._seq, self._ahead_s = name, port, 0, 0, 0.0
        at = {"host": "127.0.0.1", "port": port, "username": "listener", "password_file": str(secret)}
        self.connection = {
            "broker": at,
            "group": "plant",
            "edge_node": name,
            "device": "press",
            "host_id": name,
        }
        self.line = Client(port, name)

    async def begin(self) -> None:
        self.line = self._begin()

    def bench(self, folder: Path) -> Bench:
        return Bench("sparkplug", folder, self.connection, {"metric": "T"}, ReportMode.PERIODIC)

    def _begin(self) -> Client:
        self._bd_seq += 1
        line = Client(self._port, self._node)
        death = Payload(self._now_ms, [Metric("bdSeq", None, DataType.INT64, self._bd_seq)])
        line.client.will_set(f"spBv1.0/plant/NDEATH/{self._node}", encode(death), qos=1)
        line.connect()
        return line

    @property
    def _now_ms(self) -> int:
        return round((time.time() + self._ahead_s) * 1000)

    async def end(self) -> None:
        self.line.cut()

    def _say(self, kind: str, *metrics: Metric, retain: bool = False) -> None:
        self._seq = 0 if kind == "NBIRTH" else (self._seq + 1) % 256
        below = "" if kind[0] == "N" else "/press"
        payload = encode(Payload(self._now_ms, list(metrics), self._seq))
        self.line.say(f"spBv1.0/plant/{kind}/{self._node}{below}", payload, retain)

    def _value(self) -> None:
        self._say("DDATA", Metric("", 1, DataType.DOUBLE, 1.5))

    async def birth_only(self, bench: Bench) -> None:
        heard = bench.told("session_up")
        while bench.told("session_up") == heard:  # the host may not hear yet
            self._say("NBIRTH", Metric("bdSeq", None, DataType.INT64, self._bd_seq))
            self._say("DBIRTH", Metric("T", 1, DataType.DOUBLE, 1.0))
            await asyncio.sleep(0.05)

    async def value(self, bench: Bench) -> None:
        await self.birth_only(bench)
        self._value()
        await bench.becomes(State.CONNECTED)

    async def restart(self, bench: Bench) -> None:
        await self.cut(bench)
        self.line = self._begin()
        await self.value(bench)

    async def cut(self, bench: Bench) -> None:
        await self.value(bench)
        self.line.cut()
        await bench.becomes(State.CONNECTED, State.OFFLINE)

    async def clock_behind(self, bench: Bench) -> None:
        await self._jump(bench, -3600)

    async def clock_ahead(self, bench: Bench) -> None:
        await self._jump(bench, 3600)

    async def _jump(self, bench: Bench, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        await self.birth_only(bench)
        for _ in range(4):
            self._value()
            await asyncio.sleep(0.55)

    async def ping_only(self, bench: Bench) -> None:
        await self.birth_only(bench)
        self._say("DDATA")

    async def retained_only(self, bench: Bench) -> None:
        self._say("DDATA", Metric("T", None, DataType.DOUBLE, 1.5), retain=True)
        await bench.until(lambda: bench.told("error") > 0)

    async def without_value(self, bench: Bench) -> None:
        await self.birth_only(bench)
        self._say("DDATA", Metric("", 1, DataType.DOUBLE, None, is_null=True))

    async def malformed(self, bench: Bench) -> None:
        await self.birth_only(bench)
        self.line.say(f"spBv1.0/plant/DDATA/{self._node}/press", b"\xff\x00")
        await bench.until(lambda: bench.told("error") > 0)
