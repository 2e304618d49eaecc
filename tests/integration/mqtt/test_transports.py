"""TLS with client certificates, WebSocket, shared subscriptions, and the NATS server as a broker."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import a_free_port
from tests.integration.mqtt.brokers import (
    Outbox,
    device,
    mosquitto,
    nats,
    publisher,
    tag,
    until,
    wait_for,
    working,
)
from tests.integration.mqtt.certificates import Authority


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("transport", ["tls", "websocket", "websocket_tls"])
async def test_every_transport_brings_every_message_once(
    tmp_path: Path, transport: str, version: str
) -> None:
    authority = Authority(tmp_path)
    authority.issue("broker")
    authority.issue("gateway")
    port = a_free_port()
    more = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    if transport.startswith("websocket"):
        more += "protocol websockets\n"
    if transport.endswith("tls"):
        more += f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/broker.pem\nkeyfile {tmp_path}/broker.key\n"
        more += "require_certificate true\n"
    with mosquitto(tmp_path, more) as broker:
        wait_for(port, broker.process)
        at: dict[str, Any] = {**broker.at, "port": port, "transport": transport, "version": version}
        if transport.endswith("tls"):
            files = {"certificate_file": f"{tmp_path}/gateway.pem", "key_file": f"{tmp_path}/gateway.key"}
            at["tls"] = {"ca_file": f"{tmp_path}/ca.pem", "server_name": "broker.plant.example", **files}
        async with working(tmp_path, device(1, at, [tag(1, "n", path="$.n")])) as (_, sink):
            with publisher(broker) as client:
                for number in range(300):
                    filling = "x" * (20_000 if number % 100 == 0 else 10)
                    client.publish("plant/press-1/data", json.dumps({"n": number, "x": filling}), 1)
                await until(lambda: len(sink.scans) >= 300)
        assert sink.values() == [float(number) for number in range(300)]


@pytest.mark.parametrize(
    ("trusted", "name", "shown", "reason"),
    [
        (True, "127.0.0.1", False, "mqtt."),
        (True, "other.example", True, "mqtt.certificate-refused"),
        (False, "127.0.0.1", True, "mqtt.certificate-refused"),
    ],
    ids=["no certificate of ours", "wrong name", "unknown authority"],
)
async def test_what_tls_refuses_is_told_by_name(
    tmp_path: Path, trusted: bool, name: str, shown: bool, reason: str
) -> None:
    authority = Authority(tmp_path)
    authority.issue("broker")
    authority.issue("gateway")
    port = a_free_port()
    more = f"listener {port} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\n"
    more += f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/broker.pem\nkeyfile {tmp_path}/broker.key\n"
    tls: dict[str, Any] = {"server_name": name}
    if trusted:
        tls["ca_file"] = f"{tmp_path}/ca.pem"
    if shown:
        tls |= {"certificate_file": f"{tmp_path}/gateway.pem", "key_file": f"{tmp_path}/gateway.key"}
    with mosquitto(tmp_path, more) as broker:
        wait_for(port, broker.process)
        at = {**broker.at, "port": port, "transport": "tls", "tls": tls}
        async with working(tmp_path, device(1, at, [tag(1, "t")])) as (_, sink):
            await until(lambda: bool(sink.said("session_down")))
    assert sink.reasons("session_down")[0].startswith(reason)


async def test_gateways_of_one_group_share_the_messages(tmp_path: Path) -> None:
    outboxes = Outbox(), Outbox()
    with mosquitto(tmp_path) as broker:
        at = {**broker.at, "version": "5", "share": "gateways"}
        one = [device(1, {**at, "client_id": f"gateway-{n}"}, [tag(1, "n", path="$.n")]) for n in (1, 2)]
        async with (
            working(tmp_path / "a", one[0], outbox=outboxes[0]),
            working(tmp_path / "b", one[1], outbox=outboxes[1]),
        ):
            with publisher(broker) as client:
                for number in range(100):
                    client.publish("plant/press-1/data", json.dumps({"n": number}), 1)
                await until(lambda: sum(len(outbox.scans) for outbox in outboxes) >= 100)
    shares = [outbox.values() for outbox in outboxes]
    assert all(len(share) > 10 for share in shares)
    assert sorted(shares[0] + shares[1]) == [float(number) for number in range(100)]


async def test_the_nats_server_is_a_broker_whose_restart_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outbox = Outbox(at_once=False)
    with nats(tmp_path) as broker:
        one = device(1, broker.at, [tag(1, "n", path="$.n")], topic="车间/press-1/data")
        async with working(tmp_path, one, outbox=outbox):
            with publisher(broker) as client:
                for number in range(50):
                    client.publish("车间/press-1/data", json.dumps({"n": number}), 1).wait_for_publish(10)
                await until(lambda: len(outbox.scans) >= 50)
                broker.stop()
                broker.start()
                await until(lambda: outbox.reasons("session_down").count("mqtt.session-not-observable") == 2)
                await until(client.is_connected)
                outbox.at_once = True
                outbox.seal()
                await asyncio.to_thread(_publish, client, 50, 100)
                await until(lambda: 99.0 in [float(scan.value[0]) for scan in outbox.scans])
                await asyncio.sleep(3)  # its ack_wait: what it takes for unacknowledged has come by then
    assert sorted(float(scan.value[0]) for scan in outbox.scans) == [float(number) for number in range(100)]


def _publish(client: Any, first: int, end: int) -> None:
    for number in range(first, end):
        client.publish("车间/press-1/data", json.dumps({"n": number}), 1).wait_for_publish(10)
