"""Encrypted sessions: whom the gateway lets in, by name, and what it can then browse, read and write."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.adapter import Workplace
from gateway.adapters.opcua.room import OpcuaRoom
from muster.clock import ManualClock, SystemClock
from muster.device import Device, ReportMode, Tag
from muster.errors import RequestError
from simulators.modbus.ports import free_ports
from tests.integration.opcua.test_session import Recorder, until
from tests.unit.opcua.test_authorities import Party, party, revocations

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


def certificate(folder: Path, host: str) -> bytes:
    """Make a server's certificate for `host` and return it in DER."""
    key = generate_private_key()
    made = generate_self_signed_app_certificate(
        key,
        "Press server",
        {"organizationName": "Honest Works"},
        [x509.UniformResourceIdentifier("urn:test:server"), x509.DNSName(host)],
        [ExtendedKeyUsageOID.SERVER_AUTH],
        days=30,
    )
    (folder / "server.key.pem").write_bytes(dump_private_key_as_pem(key))
    der = made.public_bytes(Encoding.DER)
    (folder / "server.der").write_bytes(der)
    return der


class Doorkeeper:
    """Lets everybody in, and keeps the passwords."""

    def __init__(self, shown: list[Any]) -> None:
        self._shown = shown

    def get_user(
        self, session: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User:
        self._shown.append(password)
        return User(role=UserRole.Admin)


class Bench:
    """An encrypted server and a room that is told to watch it."""

    def __init__(self, folder: Path, ahead_days: int) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self.sink = Recorder()
        clock = ManualClock(SystemClock().now_us() + ahead_days * 86_400_000_000)
        self.room = OpcuaRoom(self.sink, clock, Workplace(1, "g", folder / "room"))

    def connection(self, **more: Any) -> dict[str, Any]:
        return {"url": f"opc.tcp://localhost:{self.port}", "backoff_max_s": 0.2, **more}

    async def watch(self, **more: Any) -> None:
        tags = [Tag(1, "speed", "float64", {"node": "nsu=urn:test;s=Press.Speed"}, writable=True)]
        device = Device(1, 1, "d", "d", 1, "opcua", self.connection(**more), ReportMode.PERIODIC, 0.2, tags)
        await self.room.configure({1: device})

    def reasons(self) -> list[str]:
        return [event.reason for event in self.sink.events if event.kind == "session_down"]

    async def serve(self) -> Server:
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        await server.set_application_uri("urn:test:server")
        server.set_security_policy(POLICIES)
        await server.load_certificate(str(self.folder / "server.der"))
        await server.load_private_key(str(self.folder / "server.key.pem"))
        index = await server.register_namespace("urn:test")
        press = await server.nodes.objects.add_object(ua.NodeId("Press", index), f"{index}:Press")
        speed = await press.add_variable(ua.NodeId("Press.Speed", index), f"{index}:Speed", 1.5)
        await speed.set_writable()
        axes = [ua.Variant(value, ua.VariantType.Float) for value in (1.0, 2.0)]
        await press.add_variable(
            ua.NodeId("Press.Axes", index), f"{index}:Axes", [one.Value for one in axes], ua.VariantType.Float
        )
        await server.start()
        self.server = server
        return server


@asynccontextmanager
async def working(folder: Path, ahead_days: int = 0) -> AsyncIterator[Bench]:
    bench = Bench(folder, ahead_days)
    server = await bench.serve()
    running = asyncio.create_task(bench.room.run())
    try:
        yield bench
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()


async def test_an_unknown_certificate_waits_until_somebody_trusts_it(tmp_path: Path) -> None:
    der = certificate(tmp_path, "localhost")
    async with working(tmp_path) as bench:
        await bench.watch()
        await until(lambda: "opcua.certificate-waiting" in bench.reasons())
        assert bench.sink.scans == []
        (waiting,) = bench.room.certificates()
        assert waiting.thumbprint == hashlib.sha1(der).hexdigest().upper()
        assert (waiting.state, waiting.hosts, waiting.uri) == ("waiting", ["localhost"], "urn:test:server")
        assert "Press server" in waiting.subject
        bench.room.decide(waiting.thumbprint.lower(), trust=True)
        await until(lambda: bool(bench.sink.scans))
        assert (await bench.room.write(1, 1, 2.5)).value == 2.5
        found = await bench.room.browse(1, "press")
        assert {one.path: one.type for one in found} == {
            "Press/Speed": "float64",
            "Press/Axes[0]": "float32",
            "Press/Axes[1]": "float32",
        }
        (speed,) = await bench.room.discover(bench.connection(), "SPEED", 5.0)
        assert speed.address == {"node": "nsu=urn:test;s=Press.Speed"}
        assert (speed.writable, speed.value, speed.group) == (True, 2.5, "Press")
        (below,) = await bench.room.discover(bench.connection(root="nsu=urn:test;s=Press"), "speed", 5.0)
        assert below.address == {"node": "{root}.Speed"}
        again = OpcuaRoom(bench.sink, SystemClock(), Workplace(1, "g", tmp_path / "room"))
        assert [one.state for one in again.certificates()] == ["trusted"]


@pytest.mark.parametrize(
    "security",
    [
        {"policy": "Basic256Sha256", "mode": "sign"},
        {"policy": "Aes128_Sha256_RsaOaep", "mode": "sign_and_encrypt"},
        {"policy": "Aes256_Sha256_RsaPss", "mode": "sign_and_encrypt"},
    ],
)
async def test_every_policy_carries_values(tmp_path: Path, security: dict[str, str]) -> None:
    der = certificate(tmp_path, "localhost")
    pinned = hashlib.sha1(der).hexdigest().upper()
    async with working(tmp_path) as bench:
        await bench.watch(security=security, server_certificate=pinned)
        await until(lambda: bool(bench.sink.scans))


@pytest.mark.parametrize(
    ("host", "ahead_days", "trust", "reason"),
    [
        ("localhost", 60, None, "opcua.certificate-expired"),
        ("localhost", -60, None, "opcua.certificate-not-yet-valid"),
        ("other.example", 0, None, "opcua.certificate-wrong-host"),
        ("localhost", 0, False, "opcua.certificate-refused"),
    ],
)
async def test_a_certificate_is_refused_by_name(
    tmp_path: Path, host: str, ahead_days: int, trust: bool | None, reason: str
) -> None:
    certificate(tmp_path, host)
    async with working(tmp_path, ahead_days) as bench:
        await bench.watch()
        if trust is not None:
            await until(lambda: bool(bench.room.certificates()))
            bench.room.decide(bench.room.certificates()[0].thumbprint, trust=trust)
        await until(lambda: reason in bench.reasons())
        assert bench.sink.scans == []
        with pytest.raises(RequestError, match=reason):
            await bench.room.discover(bench.connection(), "", 5.0)


async def test_an_authoritys_server_is_let_in_until_its_certificate_is_revoked(tmp_path: Path) -> None:
    root = party("Works")
    certificate(tmp_path, "localhost")
    shown = x509.load_der_x509_certificate((tmp_path / "server.der").read_bytes())
    made = x509.CertificateBuilder().subject_name(shown.subject).public_key(shown.public_key())
    made = made.not_valid_before(shown.not_valid_before_utc).not_valid_after(shown.not_valid_after_utc)
    for extension in shown.extensions:
        made = made.add_extension(extension.value, extension.critical)
    made = made.issuer_name(root.certificate.subject).serial_number(4711)
    issued = Party(root.key, made.sign(root.key, hashes.SHA256()))
    (tmp_path / "server.der").write_bytes(issued.der)
    trusted = tmp_path / "room" / "trusted"
    for folder in ("certs", "crl"):
        (trusted / folder).mkdir(parents=True)
    (trusted / "certs" / "works.der").write_bytes(root.der)
    async with working(tmp_path) as bench:
        await bench.watch()
        await until(lambda: bool(bench.sink.scans))
        assert bench.room.certificates() == []
        (trusted / "crl" / "works.pem").write_bytes(revocations(root, issued))
        await until(lambda: "opcua.certificate-revoked" in bench.reasons(), 40)


async def test_a_refusal_ends_an_open_session(tmp_path: Path) -> None:
    certificate(tmp_path, "localhost")
    async with working(tmp_path) as bench:
        await bench.watch()
        await until(lambda: bool(bench.room.certificates()))
        (one,) = bench.room.certificates()
        bench.room.decide(one.thumbprint, trust=True)
        await until(lambda: bool(bench.sink.scans))
        bench.room.decide(one.thumbprint, trust=False)
        await until(lambda: "opcua.certificate-refused" in bench.reasons(), 40)


async def test_a_server_without_protection_is_not_spoken_to_unless_that_was_said(tmp_path: Path) -> None:
    certificate(tmp_path, "localhost")
    async with working(tmp_path) as bench:
        await bench.watch(security={"policy": "None", "mode": "none"})
        await until(lambda: bool(bench.reasons()))
        assert bench.sink.scans == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_password_that_a_signed_session_would_show_stays_here_unless_the_device_says_otherwise(
    tmp_path: Path, allowed: bool
) -> None:
    der = certificate(tmp_path, "localhost")
    secret = tmp_path / "reader.password"
    secret.write_text("open sesame")
    shown: list[bytes | None] = []
    async with working(tmp_path) as bench:
        for endpoint in bench.server.iserver.endpoints:
            for token in endpoint.UserIdentityTokens:
                token.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
        bench.server.iserver.user_manager = Doorkeeper(shown)
        user = {"username": "reader", "password_file": str(secret), "password_in_clear": allowed}
        security = {"policy": "Basic256Sha256", "mode": "sign"}
        pinned = hashlib.sha1(der).hexdigest().upper()
        await bench.watch(security=security, server_certificate=pinned, user=user)
        if allowed:
            await until(lambda: bool(bench.sink.scans))
            assert "open sesame" in shown
            return
        await until(lambda: bool(bench.reasons()))
        told = next(event for event in bench.sink.events if event.kind == "session_down")
        assert told.reason == "opcua.configuration-wrong"
        assert told.detail["problem"].startswith("connection.user.password_in_clear: ")
        assert shown == []
