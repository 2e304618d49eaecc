"""The room at work with mosquitto: values, history, presence, commands, refusals, restarts."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho

from muster.errors import RequestError, Unavailable
from muster.quality import Quality
from muster.scans import How
from tests.integration.mqtt.brokers import Broker, Outbox, device, mosquitto, publisher, tag, until, working


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path) as one:
        yield one


def send(client: paho.Client, payload: Any, topic: str = "plant/press-1/data", retain: bool = False) -> None:
    raw = payload if isinstance(payload, bytes | str) else json.dumps(payload)
    client.publish(topic, raw, 1, retain).wait_for_publish(10)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_values_texts_and_qualities_arrive(broker: Broker, tmp_path: Path, version: str) -> None:
    tags = [
        tag(1, "温度", path="$.v.t", scale=0.1),
        tag(2, "count", "uint16", path="$.v.n"),
        tag(3, "on", "bool", path="$.flags[1]"),
        tag(4, "recipe", "string", path="$.recipe"),
        tag(5, "p", path="$.sensors[?@.id=='p'].x"),
    ]
    one = device(1, {**broker.at, "version": version}, tags, topic="车间 1/压力机/数据")
    payload = {
        "v": {"t": 205, "n": -1},
        "flags": [0, True],
        "recipe": "配方7",
        "sensors": [{"id": "p", "x": 3.5}],
    }
    async with working(tmp_path, one) as (_, sink):
        with publisher(broker) as client:
            send(client, payload, "车间 1/压力机/数据")
            await until(lambda: bool(sink.scans))
    (scan,) = sink.scans
    assert scan.value[[0, 2, 4]].tolist() == [20.5, 1.0, 3.5]
    assert scan.quality is not None
    assert scan.quality.tolist() == [0, Quality.OUT_OF_RANGE, 0, 0, 0]
    assert [(text.position, text.value) for text in sink.texts] == [(4, "配方7")]
    assert scan.how is How.UNSOLICITED


async def test_retained_replayed_and_repeated_messages_are_recognised(broker: Broker, tmp_path: Path) -> None:
    stamped = {"timestamp": {"path": "$.ts", "unit": "ms"}}
    one = device(1, broker.at, [tag(1, "t", path="$.t")], payload=stamped)
    now_ms = round(time.time() * 1000)
    with publisher(broker) as client:
        send(client, {"ts": now_ms - 60_000, "t": 1}, retain=True)
        async with working(tmp_path, one) as (_, sink):
            for ts, value in ((now_ms, 2), (now_ms, 2), (now_ms - 5000, 3), (now_ms + 1, 4)):
                send(client, {"ts": ts, "t": value})
            await until(lambda: 4.0 in sink.values())
    assert sink.values(how=How.HISTORY) == [1.0, 3.0]
    assert sink.values() == [2.0, 4.0]


async def test_garbage_is_named_and_acknowledged_and_disturbs_nobody(broker: Broker, tmp_path: Path) -> None:
    payload = {"max_bytes": 1000, "timestamp": {"path": "$.ts", "unit": "iso"}}
    one = device(1, broker.at, [tag(1, "t", path="$.t")], payload=payload, topic="plant/#")
    bad = [
        b"\xff\xfe",
        b'{"t": ',
        b"x" * 1001,
        b'{"t": 1, "ts": "2024-01-01T00:00:00"}',
        b'{"t": NaN}',
        b"[" * 900,
    ]
    outbox = Outbox()
    async with working(tmp_path, one, outbox=outbox) as (_, sink):
        with publisher(broker) as client:
            for number, raw in enumerate(bad):
                send(client, raw, f"plant/有 空格/{number}")
            send(client, {"t": 5, "ts": "2024-01-01T00:00:00Z"}, "plant/a b")
            await until(lambda: bool(sink.scans))
        errors = sink.said("error")
        assert [one.reason for one in errors] == ["mqtt.payload-unusable"] * len(bad)
        assert [one.detail["topic"] for one in errors] == [f"plant/有 空格/{n}" for n in range(len(bad))]
        await asyncio.sleep(0.3)
    async with working(tmp_path, one, outbox=outbox):
        await asyncio.sleep(0.3)
    assert len(outbox.said("error")) == len(bad)
    assert outbox.values() == [5.0]


async def test_a_status_topic_is_the_session_and_without_one_it_is_not_observable(
    broker: Broker, tmp_path: Path
) -> None:
    told = device(1, broker.at, [tag(1, "t")], status={"topic": "plant/press-1/status"})
    untold = device(2, broker.at, [tag(1, "t")], heartbeat="plant/press-2/ping")
    will = {"topic": "plant/press-1/status", "payload": "offline", "qos": 1, "retain": True}
    async with working(tmp_path, told, untold) as (_, sink):
        with publisher(broker, **will) as client:
            send(client, "online", "plant/press-1/status", retain=True)
            send(client, "", "plant/press-2/ping")
            await until(lambda: bool(sink.said("answer", 2)))
            socket = client.socket()
            assert socket is not None
            client.loop_stop()
            socket.close()
            await until(lambda: "mqtt.status-offline" in sink.reasons("session_down"))
        assert [one.kind for one in sink.events if one.device == 1] == ["session_up", "session_down"]
        assert [one.reason for one in sink.said("session_down", 2)] == ["mqtt.session-not-observable"]
        assert sink.said("session_up", 2) == []
        broker.stop()
        await until(lambda: sink.reasons("session_down").count("mqtt.broker-away") == 2)


async def test_a_broker_that_tells_of_its_clients_by_topic_tells_the_session(
    broker: Broker, tmp_path: Path
) -> None:
    status = {
        "topic": "nodes/+/clients/press-1/+",
        "word": "topic",
        "online": "connected",
        "offline": "disconnected",
    }
    one, untold = device(1, broker.at, [tag(1, "t")], status=status), device(2, broker.at, [tag(1, "t")])
    async with working(tmp_path, one, untold) as (_, sink):
        with publisher(broker) as client:
            send(client, {"clientid": "press-2"}, "nodes/emqx@1/clients/press-2/connected")
            send(client, {"clientid": "press-1"}, "nodes/emqx@1/clients/press-1/connected")
            await until(lambda: bool(sink.said("session_up", 1)))
            send(client, {"reason": "keepalive_timeout"}, "nodes/emqx@1/clients/press-1/disconnected")
            await until(lambda: "mqtt.status-offline" in sink.reasons("session_down"))
            send(client, {}, "nodes/emqx@1/clients/press-1/subscribed")
            await until(lambda: sink.reasons("error") == ["mqtt.status-unknown"])
        assert [one.kind for one in sink.events if one.device == 1] == ["session_up", "session_down", "error"]


async def test_a_fresh_read_waits_for_the_next_message(broker: Broker, tmp_path: Path) -> None:
    one = device(1, broker.at, [tag(1, "t", path="$.t")], interval_s=0.3)
    async with working(tmp_path, one) as (room, sink):
        with publisher(broker) as client:
            send(client, {"t": 1})
            await until(lambda: bool(sink.scans))
            reading = asyncio.ensure_future(room.read(1, [1]))
            await asyncio.sleep(0.05)
            send(client, {"t": 2})
            assert [value.value for value in await reading] == [2.0]
        with pytest.raises(Unavailable, match="published none"):
            await room.read(1, [1])


async def test_a_tag_is_written_by_topic_and_confirmed(broker: Broker, tmp_path: Path) -> None:
    answered = {
        "topic": "plant/press-1/set",
        "payload": '{"id": {id}, "{tag}": {value}}',
        "response_topic": "plant/press-1/done",
        "response_path": "$.id",
        "timeout_ms": 2000,
    }
    read_back = {"topic": "plant/press-1/set", "payload": '{"sp": {value}}', "timeout_ms": 1000}
    tags = [
        tag(1, "speed", path="$.speed", writable=True, low=0, high=100, command=answered),
        tag(2, "sp", path="$.sp", writable=True, command=read_back),
        tag(3, "t", path="$.t"),
    ]
    one = device(1, broker.at, tags)

    def obey(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        asked = json.loads(message.payload)
        if "id" in asked:
            client.publish("plant/press-1/done", json.dumps({"id": asked["id"]}), 1)
        elif asked["sp"] < 50:
            client.publish("plant/press-1/data", json.dumps({"sp": asked["sp"]}), 1)

    async with working(tmp_path, one) as (room, _):
        with publisher(broker) as client:
            client.on_message = obey
            client.subscribe("plant/press-1/set", 1)
            await asyncio.sleep(0.2)
            assert (await room.write(1, 1, 42.0)).value == 42.0
            assert (await room.write(1, 2, 7.5)).value == 7.5
            with pytest.raises(Unavailable, match="did not confirm"):
                await room.write(1, 2, 60.0)
            with pytest.raises(RequestError, match="outside its limits"):
                await room.write(1, 1, 101.0)
            with pytest.raises(RequestError, match="not writable"):
                await room.write(1, 3, 1.0)


async def test_what_arrives_is_shown_with_a_mapping_to_take(broker: Broker, tmp_path: Path) -> None:
    async with working(tmp_path) as (room, _):
        with publisher(broker) as client:
            send(client, {"alt": 1}, "old/one", retain=True)
            listening = asyncio.ensure_future(room.discover({"broker": broker.at}, "", 1.5))
            await asyncio.sleep(0.4)
            for value in (1.5, *[2.5] * 8):  # several, for the room may still be subscribing
                send(client, {"v": {"温度": value}, "ok": True}, "plant/炉 3")
                await asyncio.sleep(0.1)
            found = await listening
    shown = {one.path: one for one in found}
    assert shown["old/one $.alt"].note == "mqtt.found-retained"
    assert shown["plant/炉 3 $.v.温度"].value == 2.5
    assert shown["plant/炉 3 $.v.温度"].address == {"topic": "plant/炉 3", "path": "$.v.温度"}
    assert shown["plant/炉 3 $.v.温度"].interval_s is not None
    assert shown["plant/炉 3 $.ok"].type == "bool"


async def test_a_second_client_with_our_id_is_told_by_name(broker: Broker, tmp_path: Path) -> None:
    at = {**broker.at, "client_id": "ours", "version": "5"}
    async with working(tmp_path, device(1, at, [tag(1, "t")])) as (_, sink):
        with publisher(broker, "ours"):
            await until(lambda: "mqtt.session-taken-over" in sink.reasons("session_down"))


async def test_refusals_are_told_by_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with mosquitto(tmp_path, own="allow_anonymous false") as broker:
        at = {**broker.at, "username": "muster", "password_file": str(secret)}
        both = device(1, at, [tag(1, "t")]), device(2, {**at, "version": "5"}, [tag(1, "t")])
        async with working(tmp_path, *both) as (_, sink):
            await until(lambda: len(sink.said("session_down")) == 2)
    assert set(sink.reasons("session_down")) == {"mqtt.not-authorised"}


async def test_nothing_is_acknowledged_or_read_while_nothing_is_kept(broker: Broker, tmp_path: Path) -> None:
    async with working(tmp_path, device(1, broker.at, [tag(1, "t")])) as (_, sink):
        sink.collecting = False
        with publisher(broker) as client:
            for number in range(50):
                send(client, number)
            await asyncio.sleep(0.3)
            assert sink.scans == []
            sink.collecting = True
            await until(lambda: len(sink.scans) == 50)
    assert sink.values() == [float(number) for number in range(50)]


async def test_what_came_between_two_processes_is_stored_once(broker: Broker, tmp_path: Path) -> None:
    one = device(
        1, broker.at, [tag(1, "t", path="$.t")], payload={"timestamp": {"path": "$.ts", "unit": "s"}}
    )
    outbox = Outbox(at_once=False)

    def publish(client: paho.Client, first: int) -> None:
        for number in range(first, first + 100):
            send(client, {"t": number, "ts": time.time()})

    with publisher(broker) as client:
        async with working(tmp_path, one, outbox=outbox):
            await asyncio.to_thread(publish, client, 0)
            await until(lambda: len(outbox.scans) == 100)
        outbox.sealed += 1  # it was durable when the process died; nothing was acknowledged
        await asyncio.to_thread(publish, client, 100)
        async with working(tmp_path, one, outbox=outbox):
            await until(lambda: len(outbox.scans) >= 200)
            kept = len(outbox.scans)
        del outbox.scans[100:]  # this time it was not durable: what died comes again
        assert kept == 200
        async with working(tmp_path, one, outbox=outbox):
            outbox.at_once = True
            await until(lambda: len(outbox.scans) >= 200)
            outbox.seal()
            await asyncio.sleep(0.3)
    assert sorted(float(scan.value[0]) for scan in outbox.scans) == [float(number) for number in range(200)]


async def test_a_broker_restart_with_300_devices_loses_and_doubles_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    stamped = {"timestamp": {"path": "$.ts", "unit": "us"}}
    devices = [
        device(number, broker.at, [tag(1, "t", path="$.t")], payload=stamped, topic=f"plant/{number}/data")
        for number in range(1, 301)
    ]
    acknowledged: dict[int, set[int]] = {}

    def fleet() -> None:
        """300 clients of one thread: each publishes again what was not acknowledged, as its library does."""
        clients = []
        for number in range(1, 301):
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"d{number}", clean_session=False)
            under_way: dict[int, int] = {}
            acknowledged[number] = set()

            def done(
                _c: Any, _d: Any, mid: int, *_: Any, n: int = number, way: dict[int, int] = under_way
            ) -> None:
                acknowledged[n].add(way[mid])

            client.on_publish = done
            client.connect("127.0.0.1", broker.port, 30)
            clients.append((number, client, under_way))
        stop = time.monotonic() + 5
        restart = time.monotonic() + 1.2
        count = 0
        while time.monotonic() < stop:
            if restart and time.monotonic() > restart:
                broker.stop()
                broker.start()
                restart = 0
            publishing = count < 12 and time.monotonic() < stop - 1.5
            for number, client, under_way in clients:
                if client.socket() is None:
                    client.reconnect()
                for _ in range(6):
                    client.loop_read()
                client.loop_write()
                client.loop_misc()
                if publishing:
                    info = client.publish(
                        f"plant/{number}/data", json.dumps({"t": count, "ts": time.time_ns() // 1000}), 1
                    )
                    under_way[info.mid] = count
            count += publishing
            time.sleep(0.1)
        for _, client, _ in clients:
            client.disconnect()

    async with working(tmp_path, *devices) as (_, sink):
        await asyncio.to_thread(fleet)
        wanted = {(number, float(one)) for number, ones in acknowledged.items() for one in ones}
        await until(
            lambda: len({(one.device, float(one.value[0])) for one in sink.scans} & wanted) == len(wanted)
        )
        await asyncio.sleep(0.3)
    got = [(one.device, float(one.value[0])) for one in sink.scans]
    assert len(wanted) > 2000
    assert wanted <= set(got)
    assert len(got) == len(set(got))
