"""Equipment that nobody here wrote, by the README's own commands: found, imported, attested, counted, challenged.

node-opcua with encryption, mqtt.js at mosquitto with MQTT 5, and an edge node whose payloads are npm's
sparkplug-payload. A challenge is what a spot check asks of each device of a random sample: a fresh read, and a number
that nobody could know before, written and read back; it is held against what the equipment itself says it was told.
"""

import asyncio
import base64
import json
import secrets
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from asyncua import Client
from typer.testing import CliRunner

from bus import connection, subjects
from bus.settings import BusSettings
from deploy.cli import app
from deploy.web import fetch
from muster.clock import SystemClock
from muster.errors import RequestError
from simulators.modbus.ports import free_ports
from tests.faults.stack import Stack, installation, reachable_folder, wait_until
from tests.integration.mqtt.brokers import mosquitto
from tests.peers import npm

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WRITABLE = {"Setpoint", "values_speed"}
COMMAND = {
    "topic": "plant/press-1/set",
    "payload": '{"id": {id}, "speed": {value}}',
    "response_topic": "plant/press-1/done",
    "response_path": "$.id",
}


@dataclass
class Site:
    """The installation, where each piece of equipment is, and what it says of itself."""

    whole: Stack
    opcua: int
    broker: int
    press: Path
    edge: Path
    line: ExitStack

    def start_line(self, session: int) -> None:
        """Start the edge node, in place of the one that runs."""
        self.line.close()
        self.line.enter_context(
            npm.script("sparkplug", "edge.cjs", self.edge, str(self.broker), "line-1", str(session))
        )

    def run(self, *arguments: str) -> str:
        """Run a command as a user does, and return what it printed."""
        done = CliRunner().invoke(app, [*arguments, "--data-dir", str(self.whole.root / "data")])
        if done.exception is not None:
            raise done.exception
        return done.stdout


@contextmanager
def site(port: int) -> Iterator[Site]:
    with reachable_folder() as root, ExitStack() as equipment, ExitStack() as line:
        (opcua,) = free_ports(1)
        press, edge = root / "press.log", root / "edge.log"
        broker = equipment.enter_context(mosquitto(root))
        server = npm.script("node-opcua", "server.cjs", root / "opcua.log", str(opcua), str(root / "pki"))
        equipment.enter_context(server)
        many = "1000000"
        equipment.enter_context(npm.script("mqttjs", "press.cjs", press, str(broker.port), "5", many, "200"))
        whole = equipment.enter_context(installation(root, port))
        made = Site(whole, opcua, broker.port, press, edge, line)
        made.start_line(7)
        yield made


def discovered(site: Site, protocol: str, wanted: dict[str, Any], *more: str) -> Path:
    """Discover equipment and return the book of it, looked over by hand: its intervals, and what may be written."""
    book = site.whole.root / f"{protocol}.yaml"
    given = json.dumps(wanted)
    options = ("--wait", "3", "--book", str(book), "--enterprise", "acme", *more)
    site.run("discover", protocol, "--connection", given, *options)
    document = yaml.safe_load(book.read_text("utf-8"))
    for model in document["models"]:
        model["interval_s"] = 1.0
        for tag in model["tags"]:
            if tag["name"] in WRITABLE:
                tag.update(writable=True, low=0, high=1000)
                if protocol == "mqtt":
                    tag["address"]["command"] = COMMAND
    if protocol == "mqtt":
        for device in document["devices"]:
            device["connection"]["broker"]["version"] = "5"
    book.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    return book


def imported(site: Site) -> list[str]:
    """Walk through the README's commands; return the codes of the devices."""
    at = {"url": f"opc.tcp://localhost:{site.opcua}"}
    with pytest.raises(RequestError, match=r"muster certificate trust [0-9A-F]{40}"):
        site.run("discover", "opcua", "--connection", json.dumps(at))
    (shown,) = json.loads(site.run("certificate", "list", "--json"))
    assert shown["state"] == "waiting"
    site.run("certificate", "trust", shown["thumbprint"])
    broker = {"host": "127.0.0.1", "port": site.broker}
    books = [
        discovered(site, "opcua", at, "--search", "press"),
        discovered(site, "mqtt", {"broker": broker, "topic": "plant/+/data"}),
        discovered(site, "sparkplug", {"broker": broker, "group": "plant", "edge_node": "line-1"}),
    ]
    codes = []
    for book in books:
        site.run("import", str(book))
        codes += [device["code"] for device in yaml.safe_load(book.read_text("utf-8"))["devices"]]
    return codes


def attest(site: Site, codes: list[str]) -> None:
    plate = site.whole.root / "plate.png"
    plate.write_bytes(PNG)
    for number, code in enumerate(codes):
        facts = ("--serial-number", f"SN-{number}", "--nameplate", str(plate), "--by", "王工", "--real")
        site.run("device", "attest", "acme", code, *facts)


def challenge(site: Site, device: int, position: int) -> float:
    """Read a device now and write it a number; return the number once it has read back."""
    nonce = round(secrets.randbelow(100_000) / 128, 6)  # exact as a double, whatever it is
    ways = json.loads((site.whole.root / "data" / "run" / "connections.json").read_text("utf-8"))

    async def ask() -> dict[str, Any]:
        client = await connection.connect(BusSettings(**ways["bus"]), "challenge")
        try:
            (gateway,) = site.whole.query("select gateway from device where id = %s", device)[0]
            begun = SystemClock().now_us()
            read = await connection.ask(client, subjects.request(gateway, "read"), {"device": device}, 20)
            good = [one for one in read["values"] if one["quality"] == 0]
            assert good, read
            assert all(one["received"] >= begun for one in good)
            question = {"device": device, "position": position, "value": nonce}
            return await connection.ask(client, subjects.request(gateway, "write"), question, 20)
        finally:
            await client.close()

    back = asyncio.run(ask())["value"]
    assert back["quality"] == 0
    assert back["value"] == nonce
    return nonce


def told(site: Site, protocol: str, code: str) -> list[float]:
    """Return what the equipment itself says that it was told, asked without a gateway."""
    if protocol == "opcua":

        async def look() -> float:
            async with Client(f"opc.tcp://localhost:{site.opcua}") as client:
                index = await client.get_namespace_index("urn:peer:node-opcua")
                value: float = await client.get_node(f"ns={index};s={code}.Setpoint").read_value()
                return value

        return [asyncio.run(look())]
    log, named = (site.press, "commanded") if protocol == "mqtt" else (site.edge, "value")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]
    found = [line[named] for line in lines if named in line]
    if protocol == "mqtt":
        return [struct.unpack(">d", bytes.fromhex(one))[0] for one in found]
    return [one for one in found if isinstance(one, int | float) and not isinstance(one, bool)]


@pytest.mark.timeout(240)
def test_equipment_that_nobody_here_wrote_is_found_counted_and_challenged(free_port: int) -> None:
    with site(free_port) as made:
        codes = imported(made)
        assert len(codes) == 4, codes
        attest(made, codes)
        made.start_line(8)  # nobody may ask for its birth again so soon
        wait_until(
            lambda: made.whole.count()["official"]["connected"] == 4, "four devices counted officially"
        )
        protocols = fetch(f"http://127.0.0.1:{made.whole.port}/api/v1/counts/protocols")
        assert protocols is not None
        families = {one["family"]: one["devices"] for one in protocols["official"]["families"]}
        assert families == {"MQTT": 2, "OPC UA": 2}
        rows = made.whole.query(
            "select device.id, device.code, protocol, position from device join tag on tag.device = device.id"
            " where writable order by device.id"
        )
        assert sorted(row[2] for row in rows) == ["mqtt", "opcua", "opcua", "sparkplug"]
        sample = secrets.SystemRandom().sample(rows, len(rows))
        for device, code, protocol, position in sample:
            nonce = challenge(made, device, position)
            assert nonce in told(made, protocol, code), (protocol, code)
        (absent,) = [row for row in rows if row[2] == "sparkplug"]
        made.line.close()
        with pytest.raises(RequestError, match="published none of these tags"):
            challenge(made, absent[0], absent[3])
