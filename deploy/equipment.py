"""The simulated fleet of a demo: its ports, kept from start to start, and its place in the device book."""

import json
from dataclasses import dataclass
from typing import Any

from deploy.layout import Layout
from deploy.nats import MQTT_USERS
from deploy.site import Simulators
from muster.clock import SystemClock
from services import ledger
from simulators.fleet.book import demo_book
from simulators.fleet.plan import encrypted_endpoints, endpoint_count
from simulators.modbus.ports import free_ports, is_free
from simulators.mqtt.link import Broker
from simulators.opcua import certificate
from simulators.settings import Settings

HOST = "127.0.0.1"
_BY_BROKER = ("mqtt", "sparkplug")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet ready to be started and registered."""

    devices: int
    settings: Settings
    book: ledger.Book


def plan(simulators: Simulators, layout: Layout, gateway: str, mqtt_port: int | None) -> Fleet:
    """Return the fleet; ports of an earlier start are used again while they are free.

    mqtt_port: of the embedded broker; without one, no simulated device speaks MQTT or Sparkplug B.
    """
    wanted = endpoint_count(simulators.devices) + 1
    kept = layout.root / "simulator-ports.json"
    ports: list[int] = json.loads(kept.read_text("utf-8")) if kept.exists() else []
    if len(ports) < wanted or not all(is_free(HOST, port) for port in ports[:wanted]):
        ports = free_ports(wanted, HOST)
        layout.write(kept, json.dumps(ports))
    control, *endpoints = ports[:wanted]
    layout.secret("simulators")
    broker, heard = None, None
    protocols = tuple(
        word for word in simulators.protocols if word not in _BY_BROKER or mqtt_port is not None
    )
    if mqtt_port is not None:
        broker, heard = embedded_broker(layout, mqtt_port)
    certificates = layout.root / "simulator-certificates"
    encrypted = encrypted_endpoints(simulators.devices, protocols)
    thumbprints = certificate.keep(certificates, encrypted, HOST, SystemClock())
    settings = Settings(
        devices=simulators.devices,
        seed=simulators.seed,
        host=HOST,
        ports=endpoints,
        control_port=control,
        token_file=layout.secret_file("simulators"),
        protocols=protocols,
        broker=broker,
        certificates=certificates,
    )
    document = demo_book(
        simulators.devices, simulators.seed, HOST, endpoints, gateway, protocols, heard, thumbprints
    )
    text = json.dumps(document, ensure_ascii=False).encode()
    return Fleet(simulators.devices, settings, ledger.load(text, "yaml", name="demo.yaml"))


def embedded_broker(layout: Layout, port: int) -> tuple[Broker, dict[str, Any]]:
    """Return how equipment reaches the embedded broker, and how a device's document says that a gateway does."""
    for user in MQTT_USERS:
        layout.secret(f"nats-{user}")
    equipment, listener = (layout.secret_file(f"nats-{user}") for user in MQTT_USERS)
    heard = {"host": HOST, "port": port, "username": "listener", "password_file": str(listener)}
    return Broker(host=HOST, port=port, username="equipment", password_file=equipment), heard
