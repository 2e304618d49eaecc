"""Whom a trusted authority lets in, and what it has revoked."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.adapter import Workplace
from gateway.adapters.opcua.trust import Distrusted, Trust
from muster.clock import ManualClock, to_us
from tests.unit.opcua.test_trust import ENDPOINT, thumbprint

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Party:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def party(
    name: str,
    issuer: Party | None = None,
    *,
    ca: bool = True,
    signs: bool = True,
    days: int = 30,
    since: int = 1,
    host: str = "",
    longest: int | None = None,
) -> Party:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=since))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=longest), critical=True)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, signs, signs, False, False), critical=True
        )
    )
    if host:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return Party(key, made.sign(issuer.key if issuer else key, hashes.SHA256()))


def renewed(old: Party) -> Party:
    """Return an authority's next certificate, for the same key."""
    made = (
        x509.CertificateBuilder()
        .subject_name(old.certificate.subject)
        .issuer_name(old.certificate.subject)
        .public_key(old.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return Party(old.key, made.sign(old.key, hashes.SHA256()))


def server(issuer: Party, **more: int) -> Party:
    return party("press", issuer, ca=False, signs=False, host="press", **more)


def revocations(issuer: Party, *revoked: Party, days: int = 7, since: int = 1) -> bytes:
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - timedelta(days=since))
        .next_update(NOW + timedelta(days=days) if days > 0 else NOW - timedelta(hours=1))
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        made = made.add_revoked_certificate(entry.revocation_date(NOW - timedelta(hours=1)).build())
    return made.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(Workplace(1, "g", tmp_path), ManualClock(to_us(NOW)))


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[str, bytes], None]:
    def write(name: str, body: bytes) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.stat().st_mtime_ns if file.exists() else 0
        file.write_bytes(body)
        os.utime(file, ns=(before + 10**9, before + 10**9))

    return write


Lay = Callable[[str, bytes], None]


def refused(trust: Trust, chain: bytes, pinned: str | None = None) -> str:
    with pytest.raises(Distrusted) as told:
        trust.check(chain, "press", ENDPOINT, pinned)
    return told.value.reason


def test_what_a_trusted_authority_issued_waits_for_nobody(trust: Trust, lay: Lay) -> None:
    root = party("root")
    one = server(root)
    assert refused(trust, one.der) == "opcua.certificate-waiting"
    lay("trusted/certs/root.der", root.der)
    trust.check(one.der, "press", ENDPOINT, None)
    assert trust.certificates() == []
    with pytest.raises(Distrusted, match=r"opcua\.certificate-wrong-host"):
        trust.check(one.der, "mill", ENDPOINT, None)
    assert refused(trust, server(root, days=-1, since=9).der) == "opcua.certificate-expired"


def test_an_authority_in_between_may_be_on_file_or_sent_along(trust: Trust, lay: Lay) -> None:
    root = party("root")
    between = party("plant", root)
    one = server(between)
    lay("trusted/certs/root.pem", root.certificate.public_bytes(Encoding.PEM))
    assert refused(trust, one.der) == "opcua.certificate-waiting"
    trust.check(one.der + between.der, "press", ENDPOINT, None)
    lay("issuers/certs/plant.der", between.der)
    trust.check(one.der, "press", ENDPOINT, None)
    lay("trusted/crl/root.crl", revocations(root, between))
    assert refused(trust, one.der + between.der) == "opcua.certificate-revoked"


def test_an_authority_that_was_only_sent_or_is_only_an_issuer_is_trusted_for_nothing(
    trust: Trust, lay: Lay
) -> None:
    root = party("root")
    one = server(root)
    assert refused(trust, one.der + root.der) == "opcua.certificate-waiting"
    lay("issuers/certs/root.der", root.der)
    assert refused(trust, one.der) == "opcua.certificate-waiting"


def test_a_revoked_certificate_is_refused_whoever_trusts_it(trust: Trust, lay: Lay) -> None:
    root = party("root")
    one, other = server(root), server(root)
    lay("trusted/certs/root.der", root.der)
    lay("trusted/crl/root.crl", revocations(root, one))
    assert refused(trust, one.der) == "opcua.certificate-revoked"
    assert refused(trust, one.der, thumbprint(one.der)) == "opcua.certificate-revoked"
    trust.check(other.der, "press", ENDPOINT, None)
    lay("trusted/crl/root.crl", revocations(root, one, days=-1))
    assert refused(trust, one.der, thumbprint(one.der)) == "opcua.certificate-revoked"


def test_a_list_that_is_overdue_or_not_the_authoritys_lets_nobody_in(trust: Trust, lay: Lay) -> None:
    root, namesake = party("root"), party("root")
    one = server(root)
    lay("trusted/certs/root.der", root.der)
    lay("trusted/crl/root.crl", revocations(root, days=-1))
    assert refused(trust, one.der) == "opcua.revocation-list-overdue"
    trust.check(one.der, "press", ENDPOINT, thumbprint(one.der))
    lay("trusted/crl/root.crl", revocations(namesake, one))
    assert refused(trust, one.der) == "opcua.revocation-list-wrong"
    lay("trusted/crl/root.crl", revocations(root))
    trust.check(one.der, "press", ENDPOINT, None)


def test_a_forger_with_the_authoritys_name_is_nobody(trust: Trust, lay: Lay) -> None:
    root, forger = party("root"), party("root")
    lay("trusted/certs/root.der", root.der)
    assert refused(trust, server(forger).der + forger.der) == "opcua.certificate-waiting"


@pytest.mark.parametrize(
    ("authority", "reason"),
    [
        ({"days": -1, "since": 9}, "opcua.authority-expired"),
        ({"ca": False}, "opcua.authority-not-allowed"),
        ({"signs": False}, "opcua.authority-not-allowed"),
    ],
)
def test_an_authority_that_may_not_sign_lets_nobody_in(
    trust: Trust, lay: Lay, authority: dict[str, int], reason: str
) -> None:
    root = party("root", **authority)  # type: ignore[arg-type]
    lay("trusted/certs/root.der", root.der)
    assert refused(trust, server(root).der) == reason


def test_a_file_that_cannot_be_read_lets_nobody_in_by_an_authority(trust: Trust, lay: Lay) -> None:
    root = party("root")
    one = server(root)
    lay("trusted/certs/root.der", root.der)
    lay("trusted/crl/root.crl", b"-----BEGIN X509 CRL-----\nnothing\n")
    with pytest.raises(Distrusted) as told:
        trust.check(one.der, "press", ENDPOINT, None)
    assert (told.value.reason, told.value.detail["file"]) == (
        "opcua.trust-file-unreadable",
        "trusted/crl/root.crl",
    )


def test_a_refusal_goes_before_an_authority(trust: Trust, lay: Lay) -> None:
    root = party("root")
    one = server(root)
    assert refused(trust, one.der) == "opcua.certificate-waiting"
    trust.decide(thumbprint(one.der), trust=False)
    lay("trusted/certs/root.der", root.der)
    assert refused(trust, one.der) == "opcua.certificate-refused"


def test_an_overdue_list_counts_as_it_stands_where_the_device_says_so(trust: Trust, lay: Lay) -> None:
    root = party("root")
    one, other = server(root), server(root)
    lay("trusted/certs/root.der", root.der)
    lay("trusted/crl/root.crl", revocations(root, other, days=-1))
    assert refused(trust, one.der) == "opcua.revocation-list-overdue"
    trust.check(one.der, "press", ENDPOINT, None, overdue=True)
    with pytest.raises(Distrusted, match=r"opcua\.certificate-revoked"):
        trust.check(other.der, "press", ENDPOINT, None, overdue=True)


def test_an_authority_may_have_no_more_authorities_under_it_than_it_says(trust: Trust, lay: Lay) -> None:
    root = party("root", longest=0)
    between = party("plant", root)
    lay("trusted/certs/root.der", root.der)
    trust.check(server(root).der, "press", ENDPOINT, None)
    assert refused(trust, server(between).der + between.der) == "opcua.authority-not-allowed"


def test_an_authority_whose_certificate_was_renewed_lets_in_as_before(trust: Trust, lay: Lay) -> None:
    old = party("root", days=-1, since=9)
    one = server(old)
    lay("trusted/certs/a-old.der", old.der)
    assert refused(trust, one.der) == "opcua.authority-expired"
    lay("trusted/certs/b-new.der", renewed(old).der)
    trust.check(one.der, "press", ENDPOINT, None)
