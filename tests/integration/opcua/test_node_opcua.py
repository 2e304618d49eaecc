"""A server of node-opcua, with its own certificate and users: trusted, browsed, watched, written, killed, and back."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.adapter import Workplace
from gateway.adapters.opcua.laying import lay
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import SystemClock
from muster.device import Device, ReportMode, Tag
from muster.events import Event
from muster.quality import Quality
from muster.scans import How
from simulators.modbus.ports import free_ports
from tests.hearing import Seen
from tests.integration.opcua.test_session import Recorder, until
from tests.peers import npm
from tests.unit.opcua.test_authorities import NOW, Party, party, revocations


def press(number: int, port: int, user: dict[str, str] | None, mode: ReportMode) -> Device:
    connection: dict[str, Any] = {
        "url": f"opc.tcp://localhost:{port}",
        "security": {"policy": "Aes256_Sha256_RsaPss", "mode": "sign_and_encrypt"},
        "root": f"nsu=urn:peer:node-opcua;s=Press-{number}",
        "backoff_max_s": 0.5,
    }
    if user is not None:
        connection["user"] = user
    tags = [Tag(at + 1, f"v{at}", "float64", {"node": f"{{root}}.Value{at}"}) for at in range(10)]
    tags.append(Tag(11, "setpoint", "float64", {"node": "{root}.Setpoint"}, writable=True, low=0, high=100))
    return Device(number, 1, f"P-{number}", "press", 1, "opcua", connection, mode, 1.0, tags)


@pytest.mark.timeout(180)
async def test_a_foreign_server_is_trusted_browsed_watched_written_and_survived(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    secret = tmp_path / "reader.password"
    secret.write_text("open sesame")
    arguments = (str(port), str(tmp_path / "pki"))
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    user = {"username": "reader", "password_file": str(secret)}
    devices = {
        1: press(1, port, user, ReportMode.ON_CHANGE),
        2: press(2, port, user, ReportMode.PERIODIC),
    }
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", *arguments):
            await room.configure(devices)
            await until(lambda: bool(room.certificates()))
            assert sink.scans == []
            room.decide(room.certificates()[0].thumbprint, trust=True)
            await until(lambda: {scan[0] for scan in sink.scans} == {1, 2})
            await until(lambda: {e.device for e in sink.events if e.kind == "identity"} == {1, 2})
            (identity,) = [event for event in sink.events if event.kind == "identity" and event.device == 1]
            assert identity.detail["nameplate"]["serial_number"] == "SN-Press-1"
            assert identity.detail["server"]["manufacturer"] == "Honest Works"
            assert identity.origin is None
            assert (await room.write(1, 11, 42.5)).value == 42.5
            (setpoint,) = await room.browse(1, "setpoint")
            assert (setpoint.value, setpoint.writable) == (42.5, True)
            await until(lambda: any(how is How.SOLICITED for _, _, how in sink.scans))
        await until(lambda: sum(event.kind == "session_down" for event in sink.events) >= 2)
        sink.scans.clear()
        with npm.script("node-opcua", "server.cjs", tmp_path / "again.log", *arguments):
            await until(lambda: {scan[0] for scan in sink.scans} == {1, 2})
            assert {event.device for event in sink.events if event.kind == "gap"} == {1, 2}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_wrong_password_is_told_by_name(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    secret = tmp_path / "reader.password"
    secret.write_text("wrong")
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    user = {"username": "reader", "password_file": str(secret)}
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            await room.configure({1: press(1, port, user, ReportMode.PERIODIC)})
            await until(lambda: bool(room.certificates()))
            room.decide(room.certificates()[0].thumbprint, trust=True)
            await until(lambda: any(event.reason == "opcua.user-refused" for event in sink.events))
            assert sink.scans == []
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("trusted", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_a_user_signs_in_by_a_certificate_that_the_server_trusts(tmp_path: Path, trusted: bool) -> None:
    (port,) = free_ports(1)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Reader")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4712)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    shown, secret = tmp_path / "reader.pem", tmp_path / "reader.key.pem"
    shown.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    if trusted:
        users = tmp_path / "pki-users" / "trusted" / "certs"
        users.mkdir(parents=True)
        (users / "reader.pem").write_bytes(shown.read_bytes())
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    user = {"certificate_file": str(shown), "key_file": str(secret)}
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            await room.configure({1: press(1, port, user, ReportMode.PERIODIC)})
            await until(lambda: bool(room.certificates()))
            room.decide(room.certificates()[0].thumbprint, trust=True)
            if trusted:
                await until(lambda: bool(sink.scans))
            else:
                await until(lambda: "opcua.user-refused" in sink.reasons("session_down"))
                assert sink.scans == []
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_polled_device_whose_variables_are_stamped_apart_gives_one_scan_an_answer(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    polled = press(1, port, None, ReportMode.POLLED)
    whole = msgspec.structs.replace(polled, connection={**polled.connection, "time": "read"})
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            await room.configure({1: whole})
            await until(lambda: bool(room.certificates()))
            room.decide(room.certificates()[0].thumbprint, trust=True)
            await until(lambda: len(sink.scans) > 3)
            assert all(len(values) == 11 and how is How.SOLICITED for _, values, how in sink.scans)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_queue_that_runs_over_at_the_server_is_a_gap_and_its_last_values_come(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    connection = {
        "url": f"opc.tcp://localhost:{port}",
        "security": {"policy": "Basic256Sha256", "mode": "sign"},
        "sampling_interval_ms": 0,
        "queue_size": 3,
    }
    tags = [Tag(1, "fast", "float64", {"node": "nsu=urn:peer:node-opcua;s=Fast"})]
    fast = Device(1, 1, "P-1", "press", 1, "opcua", connection, ReportMode.PERIODIC, 1.0, tags)
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            await room.configure({1: fast})
            await until(lambda: bool(room.certificates()))
            room.decide(room.certificates()[0].thumbprint, trust=True)
            await until(lambda: any(event.reason == "opcua.queue-overflow" for event in sink.events))
            gaps = [event for event in sink.events if event.reason == "opcua.queue-overflow"]
            assert all(gap.until is not None and gap.at < gap.until for gap in gaps)
            seen = len(sink.scans)
            await until(lambda: len(sink.scans) > seen + 6)
            values = [values[0] for _, values, _ in sink.scans]
            assert values == sorted(values)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Ordered(Recorder):
    """Keeps also in which order scans and events came."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def keep(self, seen: Seen) -> None:
        super().keep(seen)
        self.order.append("scan")

    def event(self, event: Event) -> None:
        super().event(event)
        self.order.append(event.kind)


@pytest.mark.parametrize("mode", [ReportMode.PERIODIC, ReportMode.ON_CHANGE, ReportMode.POLLED])
async def test_a_device_has_said_that_it_is_simulated_before_its_first_value(
    tmp_path: Path, mode: ReportMode
) -> None:
    (port,) = free_ports(1)
    sink = Ordered()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    connection = {
        "url": f"opc.tcp://localhost:{port}",
        "security": {"policy": "None", "mode": "none"},
        "root": "nsu=urn:peer:node-opcua;s=Slow",
        "backoff_max_s": 0.5,
    }
    tags = [Tag(1, "value", "float64", {"node": "{root}.Value"})]
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            await room.configure({1: Device(1, 1, "S", "S", 1, "opcua", connection, mode, 1.0, tags)})
            await until(lambda: bool(sink.scans) and "identity" in sink.order)
            (told,) = [event for event in sink.events if event.kind == "identity"]
            assert (told.origin, told.detail["nameplate"]) == (
                "simulated",
                {"manufacturer": "Simulated Works"},
            )
            assert sink.order.index("identity") < sink.order.index("scan")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_foreign_server_is_let_in_by_its_authority_until_that_revokes_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    root = party("Works")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names = [x509.UniformResourceIdentifier("urn:peer:node-opcua"), x509.DNSName("localhost")]
    usage = x509.KeyUsage(True, True, True, True, False, False, False, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Press controller")]))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    issued = Party(root.key, made.sign(root.key, hashes.SHA256()))
    shown, secret = tmp_path / "server.pem", tmp_path / "server.key.pem"
    shown.write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    folder = tmp_path / "room"
    lay(folder, root.der, NOW, issuer=False)
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", folder))
    running = asyncio.create_task(room.run())
    arguments = (str(port), str(tmp_path / "pki"), "2", str(shown), str(secret))
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", *arguments):
            await room.configure({1: press(1, port, None, ReportMode.PERIODIC)})
            await until(lambda: bool(sink.scans))
            assert room.certificates() == []
            lay(folder, revocations(root, issued), NOW, issuer=False)
            await until(lambda: any(e.reason == "opcua.certificate-revoked" for e in sink.events), 40)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_parts_of_a_servers_own_structure_are_found_watched_and_read(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    sink = Recorder()
    room = OpcuaRoom(sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
    running = asyncio.create_task(room.run())
    connection = {"url": f"opc.tcp://localhost:{port}", "security": {"policy": "None", "mode": "none"}}
    try:
        with npm.script("node-opcua", "server.cjs", tmp_path / "peer.log", str(port), str(tmp_path / "pki")):
            found = {one.path: one for one in await room.discover(connection, "machine", 10.0)}
            assert {path: one.type for path, one in found.items()} == {
                "Machine.Running": "bool",
                "Machine.Speed": "float64",
                "Machine.Status.Code": "int64",
                "Machine.Status.Text": "string",
                "Machine.Status.Mode": "int64",
                "Machine.Axes.0.Position": "float64",
                "Machine.Axes.0.Limits.0": "float64",
                "Machine.Axes.0.Limits.1": "float64",
                "Machine.Axes.1.Position": "float64",
                "Machine.Since": "datetime",
            }
            wanted = ("Speed", "Status.Code", "Axes.0.Position", "Axes.1.Limits.0", "Status.Nothing")
            node = found["Machine.Speed"].address["node"]
            tags = tuple(
                Tag(at, part, "float64", {"node": node, "index": part}) for at, part in enumerate(wanted, 1)
            )
            device = msgspec.structs.replace(
                press(1, port, None, ReportMode.PERIODIC), connection=connection, tags=tags
            )
            await room.configure({1: device})
            await until(lambda: len(sink.scans) >= 3)
            speed, code, position, *nothing = await room.read(1, [1, 2, 3, 4, 5])
            assert (code.value, position.value) == (7.0, speed.value / 2)
            assert {(one.value, one.quality) for one in nothing} == {(None, int(Quality.NO_VALUE))}
        _, values, _ = sink.scans[-1]
        assert values[0] == 2 * values[2] > 0
        assert values[1] == 7.0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
