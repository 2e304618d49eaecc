"""The simulated fleet of a demo: its ports, kept from start to start, and its place in the device book."""

import json
from dataclasses import dataclass

from deploy.layout import Layout
from deploy.site import Simulators
from services import ledger
from simulators.fleet.book import demo_book
from simulators.fleet.plan import endpoint_count
from simulators.modbus.ports import free_ports, is_free
from simulators.settings import Settings

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet ready to be started and registered."""

    devices: int
    settings: Settings
    book: ledger.Book


def plan(simulators: Simulators, layout: Layout, gateway: str) -> Fleet:
    """Return the fleet; ports of an earlier start are used again while they are free."""
    wanted = endpoint_count(simulators.devices) + 1
    kept = layout.root / "simulator-ports.json"
    ports: list[int] = json.loads(kept.read_text("utf-8")) if kept.exists() else []
    if len(ports) < wanted or not all(is_free(HOST, port) for port in ports[:wanted]):
        ports = free_ports(wanted, HOST)
        layout.write(kept, json.dumps(ports))
    control, *endpoints = ports[:wanted]
    layout.secret("simulators")
    settings = Settings(
        devices=simulators.devices,
        seed=simulators.seed,
        host=HOST,
        ports=endpoints,
        control_port=control,
        token_file=layout.secret_file("simulators"),
    )
    document = demo_book(simulators.devices, simulators.seed, HOST, endpoints, gateway)
    text = json.dumps(document, ensure_ascii=False).encode()
    return Fleet(simulators.devices, settings, ledger.load(text, "yaml", name="demo.yaml"))
