"""Whose certificate passes: what waits, what somebody decided, and what a device's own document says."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import generate_private_key, generate_self_signed_app_certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.adapter import Workplace
from gateway.adapters.opcua.trust import Distrusted, Trust
from muster.clock import ManualClock, to_us

ENDPOINT = "opc.tcp://press:4840"


@pytest.fixture(scope="module")
def der() -> bytes:
    made = generate_self_signed_app_certificate(
        generate_private_key(),
        "press",
        {},
        [x509.DNSName("press")],
        [ExtendedKeyUsageOID.SERVER_AUTH],
        days=30,
    )
    return made.public_bytes(Encoding.DER)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(Workplace(1, "g", tmp_path), ManualClock(to_us(datetime.now(UTC))))


def thumbprint(der: bytes) -> str:
    return hashlib.sha1(der).hexdigest().upper()


def test_an_unknown_certificate_waits_until_it_is_trusted(trust: Trust, der: bytes) -> None:
    with pytest.raises(Distrusted, match=r"opcua\.certificate-waiting"):
        trust.check(der, "press", ENDPOINT, None)
    trust.decide(thumbprint(der), trust=True)
    trust.check(der, "press", ENDPOINT, None)


def test_one_that_the_document_names_waits_for_nobody(trust: Trust, der: bytes) -> None:
    with pytest.raises(Distrusted):
        trust.check(der, "press", ENDPOINT, None)
    trust.check(der, "press", ENDPOINT, thumbprint(der))
    assert trust.certificates() == []


def test_a_refusal_goes_before_the_document(trust: Trust, der: bytes) -> None:
    with pytest.raises(Distrusted):
        trust.check(der, "press", ENDPOINT, None)
    trust.decide(thumbprint(der), trust=False)
    with pytest.raises(Distrusted, match=r"opcua\.certificate-refused"):
        trust.check(der, "press", ENDPOINT, thumbprint(der))
    assert [one.state for one in trust.certificates()] == ["refused"]
