"""A simulated server's own application certificate (OPC 10000-6 §6.2.2): self-signed, for its URI and its hosts."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from muster.clock import Clock, to_datetime
from muster.files import replace_file

_LASTS_DAYS = 3650
_RENEW_BEFORE = timedelta(days=30)


def files(folder: Path, number: int) -> tuple[Path, Path]:
    """Return where server `number` keeps its certificate (DER) and its key (PEM)."""
    return folder / f"{number}.der", folder / f"{number}.key.pem"


def keep(folder: Path, numbers: Iterable[int], host: str, clock: Clock) -> dict[int, str]:
    """Make the certificates that are missing or about to expire; return every server's SHA-1 thumbprint."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    thumbprints = {}
    for number in numbers:
        certificate, key = files(folder, number)
        if not (certificate.exists() and key.exists() and _lasts(certificate, clock)):
            made, private = make(number, host)
            replace_file(key, private)
            replace_file(certificate, made)
        thumbprints[number] = hashlib.sha1(certificate.read_bytes()).hexdigest().upper()
    return thumbprints


def make(number: int, host: str, days: int = _LASTS_DAYS) -> tuple[bytes, bytes]:
    """Return a certificate (DER) of server `number` and its key (PEM); with 0 days it has expired at once."""
    key = generate_private_key()
    named: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri(number)), x509.DNSName("localhost")]
    named.append(x509.IPAddress(ip_address(host)))
    made = generate_self_signed_app_certificate(
        key,
        f"Muster Simulator {number}",
        {"organizationName": "Muster Simulator"},
        named,
        [ExtendedKeyUsageOID.SERVER_AUTH],
        days=days,
    )
    return made.public_bytes(Encoding.DER), dump_private_key_as_pem(key)


def uri(number: int) -> str:
    """Return the application URI of server `number`."""
    return f"urn:muster:simulator:{number}"


def _lasts(certificate: Path, clock: Clock) -> bool:
    held = x509.load_der_x509_certificate(certificate.read_bytes())
    now = to_datetime(clock.now_us())
    return held.not_valid_before_utc <= now < held.not_valid_after_utc - _RENEW_BEFORE
