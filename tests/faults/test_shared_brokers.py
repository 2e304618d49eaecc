"""Two processes share MQTT, Sparkplug and OPC UA equipment: one is killed, one wakes too late, and each comes back.

They bear one MQTT client id and one Sparkplug host id, as sites do whose brokers and edge nodes know only one. Each
device counts up; of what it counted nothing is stored twice or out of order, and what is missing lies in a listed gap.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho

from simulators.modbus.ports import free_ports
from tests.faults.stack import Stack, installation, reachable_folder, wait_until
from tests.integration.mqtt.brokers import Broker, mosquitto, publisher
from tests.peers import npm

CODES = ["press-1", "press-2", "press-3", "line", "opcua"]
SCANS = """
    select s.value[1], s.received, g.code from scan s join batch b on b.id = s.batch join gateway g on g.id = b.gateway
    join device d on d.id = s.device where d.code = %s and s.value[1] > 0 order by s.received, s.value[1]
"""
GAPS = """
    select from_time, to_time from gap left join device d on d.id = gap.device where d.code = %s or gap.device is null
"""
HOLDERS = "select d.code, g.code from device d join gateway g on g.id = d.held_by order by d.code"


def book(broker: Broker, opcua: int, thumbprint: str) -> str:
    """One bundle of three MQTT devices, one of an edge node's device, one behind an OPC UA server."""
    at = {"host": "127.0.0.1", "port": broker.port, "backoff_max_s": 0.5}

    def model(code: str, protocol: str, address: dict[str, Any]) -> dict[str, Any]:
        tags = [{"name": "n", "type": "float64", "address": address}]
        more = {"device_class": "other", "report_mode": "periodic", "interval_s": 1.0, "tags": tags}
        return {"code": code, "name": code, "protocol": protocol, **more}

    connections: dict[str, tuple[str, dict[str, Any]]] = {
        f"press-{number}": ("press", {"broker": {**at, "client_id": "site"}, "topic": f"plant/{number}"})
        for number in (1, 2, 3)
    }
    line = {"broker": at, "host_id": "site", "group": "plant", "edge_node": "line", "device": "press"}
    connections["line"] = ("line-model", line)
    server = {"url": f"opc.tcp://localhost:{opcua}", "server_certificate": thumbprint, "backoff_max_s": 0.5}
    connections["opcua"] = ("opcua-model", server)
    return yaml.safe_dump(
        {
            "enterprises": [{"code": "acme", "name": "acme"}],
            "models": [
                model("press", "mqtt", {"path": "$.n"}),
                model("line-model", "sparkplug", {"metric": "T"}),
                model("opcua-model", "opcua", {"node": "nsu=urn:peer:node-opcua;s=Press-1.Value0"}),
            ],
            "devices": [
                {
                    "enterprise": "acme",
                    "gateway": "demo-1",
                    "model": of,
                    "code": code,
                    "name": code,
                    "connection": wanted,
                }
                for code, (of, wanted) in connections.items()
            ],
        }
    )


def certificate(folder: Path) -> tuple[Path, Path, str]:
    """Make a server's certificate and key; return their files and its thumbprint."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Press controller")])
    names = [x509.UniformResourceIdentifier("urn:peer:node-opcua"), x509.DNSName("localhost")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "server.pem", folder / "server.key.pem"
    shown.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return shown, secret, made.fingerprint(hashes.SHA1()).hex().upper()


@contextmanager
def counting(broker: Broker) -> Iterator[None]:
    """Let the three presses count up, ten times a second, at QoS 1."""
    ends = threading.Event()

    def count(client: paho.Client) -> None:
        number = 0
        while not ends.wait(0.1):
            number += 1
            for press in (1, 2, 3):
                client.publish(f"plant/{press}", json.dumps({"n": number}), 1)

    with publisher(broker) as client:
        thread = threading.Thread(target=count, args=(client,))
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join()


@contextmanager
def site(port: int) -> Iterator[tuple[Stack, Broker]]:
    with reachable_folder() as root, ExitStack() as equipment:
        (opcua,) = free_ports(1)
        shown, secret, thumbprint = certificate(root)
        arguments = (str(opcua), str(root / "pki"), "2", str(shown), str(secret))
        equipment.enter_context(npm.script("node-opcua", "server.cjs", root / "opcua.log", *arguments))
        broker = equipment.enter_context(mosquitto(root))
        equipment.enter_context(counting(broker))
        edge = npm.script("sparkplug", "edge.cjs", root / "edge.log", str(broker.port), "line", "7")
        equipment.enter_context(edge)
        whole = equipment.enter_context(installation(root, port, processes=2))
        path = root / "book.yaml"
        path.write_text(book(broker, opcua, thumbprint), "utf-8")
        report = whole.muster("import", str(path))
        assert report["applied"], report
        wait_until(lambda: fresh(whole, *CODES), "values of every device")
        yield whole, broker


def holder(whole: Stack, code: str) -> str:
    """Return which process holds a device."""
    return str(dict(whole.query(HOLDERS)).get(code))


def fresh(whole: Stack, *codes: str) -> bool:
    """Tell whether each of the devices has a value of the last three seconds from the process that holds it."""
    rows = whole.query(
        "select distinct d.code from scan s join batch b on b.id = s.batch join device d on d.id = s.device"
        " where s.received > now() - interval '3 s' and b.gateway = d.held_by and s.value[1] > 0"
    )
    return {row[0] for row in rows} >= set(codes)


def away(whole: Stack, name: str) -> Callable[[], None]:
    """Kill a process and keep it from starting again, until what is returned is called."""
    settings = whole.root / "data" / "run" / f"gateway-{name}.json"
    content = settings.read_text("utf-8")
    settings.write_text("{}", "utf-8")
    whole.kill(f"gateway-{name}")

    def back() -> None:
        settings.write_text(content, "utf-8")

    return back


def check(whole: Stack) -> None:
    """Check that each device counts up without doubles, and that every hole touches a listed gap."""
    for code in CODES:
        rows = whole.query(SCANS, code)
        assert len({row[2] for row in rows}) == 2, f"{code}: both processes stored something"
        gaps = whole.query(GAPS, code)
        for (before, since, _), (after, until, _) in pairwise(rows):
            assert after > before, f"{code}: {after} behind {before}"
            if after > before + 1:
                assert any(begin <= until and end >= since for begin, end in gaps), (code, before, after)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_takeover_of_brokers_and_servers_stores_nothing_twice_and_lists_what_it_missed(
    free_port: int,
) -> None:
    with site(free_port) as (whole, broker):
        states: list[bool] = []

        def hear(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
            states.append(json.loads(message.payload)["online"])

        with publisher(broker, "onlooker") as onlooker:
            onlooker.on_message = hear
            onlooker.subscribe("spBv1.0/STATE/site", 1)
            for code in ("press-1", "line"):
                victim = holder(whole, code)
                other = {"demo-1": "demo-1.2", "demo-1.2": "demo-1"}[victim]
                back = away(whole, victim)
                wait_until(lambda to=other: {holder(whole, one) for one in CODES} == {to}, "a takeover")  # type: ignore[misc]
                wait_until(lambda: fresh(whole, *CODES), "values of every device")
                back()
                wait_until(lambda: len({holder(whole, one) for one in CODES}) == 2, "a share for each", 180)
                wait_until(lambda: fresh(whole, *CODES), "values of every device")
            sleeper = holder(whole, "line")
            pid = whole.pid(f"gateway-{sleeper}")
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(lambda: holder(whole, "line") != sleeper, "a takeover")
                wait_until(lambda: fresh(whole, *CODES), "values of every device")
            finally:
                os.kill(pid, signal.SIGCONT)
            wait_until(lambda: len({holder(whole, one) for one in CODES}) == 2, "a share for each", 180)
            wait_until(lambda: fresh(whole, *CODES), "values of every device")
            assert states[-1] is True, "whichever process hears the edge node says that the host is online"
            assert False in states
        check(whole)
