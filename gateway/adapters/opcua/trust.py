"""Whom this gateway trusts: its own application certificate, and what was decided about those that servers showed.

A server's certificate that nobody decided on waits, by name and thumbprint; nothing is sent to that server but the
question for its endpoints. What is trusted is still refused by name when it was revoked, has expired or is another
host's.
"""

import base64
import hashlib
import ipaddress
import json
import socket
import threading
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.adapter import Certificate, Workplace
from gateway.adapters.opcua.authorities import Authorities, split
from muster.clock import Clock, to_datetime, to_us
from muster.errors import RequestError
from muster.files import replace_file

_LASTS_DAYS = 365
_RENEW_BEFORE = timedelta(days=30)


class Distrusted(Exception):
    """A server is not spoken to. reason: a catalogue key; detail: the certificate's name and thumbprint."""

    def __init__(self, reason: str, detail: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Trust:
    """The certificates of one gateway, kept in the room's folder."""

    def __init__(self, workplace: Workplace, clock: Clock) -> None:
        self.uri = f"urn:muster:gateway:{workplace.name}"
        self._folder = workplace.folder
        self._clock = clock
        self._authorities = Authorities(workplace.folder)
        self._file = self._folder / "certificates.json"
        self._making = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self._known = json.loads(self._file.read_text("utf-8"))

    def own(self) -> tuple[Path, Path]:
        """Return the files of the gateway's own certificate (DER) and key (PEM), made anew before it expires.

        It may be called by several threads at once.
        """
        with self._making:
            return self._own()

    def _own(self) -> tuple[Path, Path]:
        certificate, key = self._folder / "own.der", self._folder / "own.key.pem"
        now = to_datetime(self._clock.now_us())
        if certificate.exists() and key.exists():
            held = x509.load_der_x509_certificate(certificate.read_bytes())
            if held.not_valid_before_utc <= now < held.not_valid_after_utc - _RENEW_BEFORE:
                return certificate, key
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = generate_private_key()
        host = socket.gethostname()
        made = generate_self_signed_app_certificate(
            private,
            "Muster gateway",
            {"organizationName": "Muster"},
            [x509.UniformResourceIdentifier(self.uri), x509.DNSName(host)],
            [ExtendedKeyUsageOID.CLIENT_AUTH],
            days=_LASTS_DAYS,
        )
        replace_file(key, dump_private_key_as_pem(private))
        replace_file(certificate, made.public_bytes(Encoding.DER))
        return certificate, key

    def check(
        self, chain: bytes, host: str, endpoint: str, pinned: str | None, *, overdue: bool = False
    ) -> None:
        """Let a server's certificate pass. Raises Distrusted, by name.

        chain: the certificate, with those of its authorities behind it or without. pinned: the thumbprint that the
        device's own document trusts; it waits for nobody, and so does what a trusted authority issued, but a refusal
        and a revocation go before. overdue: a revocation list that is overdue counts as it stands.
        """
        der, *sent = split(chain)
        thumbprint = hashlib.sha1(der).hexdigest().upper()
        try:
            shown = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise Distrusted("opcua.certificate-unreadable", {"problem": str(error)}) from error
        now = to_datetime(self._clock.now_us())
        said = self._authorities.judge(shown, sent, now, overdue=overdue)
        state = self._decided(thumbprint, der, endpoint, asked=thumbprint != pinned and not said.vouched)
        detail = {"subject": shown.subject.rfc4514_string(), "thumbprint": thumbprint}
        if state == "refused":
            raise Distrusted("opcua.certificate-refused", detail)
        if said.revoked:
            raise Distrusted("opcua.certificate-revoked", {**detail, "authority": said.revoked})
        if now >= shown.not_valid_after_utc:
            raise Distrusted("opcua.certificate-expired", detail)
        if now < shown.not_valid_before_utc:
            raise Distrusted("opcua.certificate-not-yet-valid", detail)
        if not _names(shown, host):
            raise Distrusted("opcua.certificate-wrong-host", {**detail, "host": host})
        if state != "trusted":
            reason, more = said.problem or ("opcua.certificate-waiting", {})
            raise Distrusted(reason, {**detail, **more})

    def certificates(self) -> list[Certificate]:
        """Return what servers showed, newest first."""
        found = [_described(thumbprint, one) for thumbprint, one in self._known.items()]
        return sorted(found, key=lambda one: -one.seen)

    def decide(self, thumbprint: str, trust: bool) -> Certificate:
        """Trust or refuse a certificate from now on. Raises RequestError for an unknown one."""
        thumbprint = thumbprint.upper().replace(":", "").replace(" ", "")
        known = self._known.get(thumbprint)
        if known is None:
            raise RequestError(f"no certificate {thumbprint}", status=404, code="unknown-certificate")
        known["state"] = "trusted" if trust else "refused"
        self._keep()
        return _described(thumbprint, known)

    def _decided(self, thumbprint: str, der: bytes, endpoint: str, *, asked: bool) -> str:
        """Return what is decided about a certificate; with `asked` somebody is to decide, else it is trusted."""
        if asked:
            return self._see(thumbprint, der, endpoint)
        known = self._known.get(thumbprint)
        if known is not None and known["state"] == "waiting":
            del self._known[thumbprint]
            self._keep()
        return "refused" if known is not None and known["state"] == "refused" else "trusted"

    def _see(self, thumbprint: str, der: bytes, endpoint: str) -> str:
        """Keep a certificate that was not known, waiting; return what was decided about it."""
        if thumbprint not in self._known:
            self._known[thumbprint] = {
                "der": base64.b64encode(der).decode(),
                "state": "waiting",
                "endpoint": endpoint,
                "seen": self._clock.now_us(),
            }
            self._keep()
        return str(self._known[thumbprint]["state"])

    def _keep(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(self._file, json.dumps(self._known, indent=1).encode())


def _described(thumbprint: str, known: dict[str, Any]) -> Certificate:
    der = base64.b64decode(known["der"])
    shown = x509.load_der_x509_certificate(der)
    names = _alternatives(shown)
    return Certificate(
        thumbprint=thumbprint,
        sha256=hashlib.sha256(der).hexdigest(),
        subject=shown.subject.rfc4514_string(),
        issuer=shown.issuer.rfc4514_string(),
        uri=next((name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)), ""),
        hosts=[str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))],
        not_before=to_us(shown.not_valid_before_utc.astimezone(UTC)),
        not_after=to_us(shown.not_valid_after_utc.astimezone(UTC)),
        state=known["state"],
        endpoint=known["endpoint"],
        seen=known["seen"],
    )


def _names(shown: x509.Certificate, host: str) -> bool:
    """Tell whether a certificate is this host's; one that names no host at all is anybody's, as OPC UA allows."""
    hosts = [name for name in _alternatives(shown) if isinstance(name, (x509.DNSName, x509.IPAddress))]
    if not hosts:
        return True
    named = {str(name.value).lower() for name in hosts}
    wanted = {host.lower()}
    if host.lower() == "localhost" or _is_loopback(host):
        wanted |= {"localhost", socket.gethostname().lower()}
    return bool(named & wanted)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _alternatives(shown: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return []
