"""Authorities that the gateway trusts, and what they have revoked: files that the operator lays into the room's folder.

    trusted/certs               authorities, or single servers, that are trusted
    issuers/certs               authorities between those and the servers; trusted for nothing by themselves
    trusted/crl, issuers/crl    revocation lists of either

These are the four lists of an OPC UA TrustList (OPC 10000-12). Certificates and lists are DER or PEM, under any name;
they are read again when a file changes. Where an authority has no list at all, nothing is revoked.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

_LONGEST_CHAIN = 8
T = TypeVar("T")
_UNFIT = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the authorities say of a certificate.

    revoked: by whom, "" when it is not. vouched: a trusted one stands behind it. problem: the catalogue key of why
    one that would stand behind it does not, with its detail.
    """

    revoked: str = ""
    vouched: bool = False
    problem: tuple[str, dict[str, Any]] | None = None


@dataclass(slots=True)
class _Files:
    trusted: list[x509.Certificate] = field(default_factory=list)
    issuers: list[x509.Certificate] = field(default_factory=list)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def split(chain: bytes) -> list[bytes]:
    """Return the certificates of a chain, in DER, the server's own first; what does not begin like one ends it."""
    found: list[bytes] = []
    while len(chain) > 4 and chain[0] == 0x30 and chain[1] == 0x82:
        size = 4 + int.from_bytes(chain[2:4], "big")
        found.append(chain[:size])
        chain = chain[size:]
    return found or [chain]


class Authorities:
    """The files below a room's folder. Nothing of them is written here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = _Files()
        self._stamp: list[tuple[str, int, int]] = []

    def judge(
        self, shown: x509.Certificate, sent: Iterable[bytes], now: datetime, *, overdue: bool = False
    ) -> Judgement:
        """Follow a certificate up to the authorities on file. sent: what the server showed beside it, in DER.

        overdue: revocation lists count as they stand, also after they should have been renewed.
        """
        files = self._read()
        between = [one for der in sent if (one := _certificate(der)) is not None]
        known = [*files.trusted, *files.issuers, *between]
        vouched = shown in files.trusted
        problem: tuple[str, dict[str, Any]] | None = None
        current = shown
        for below in range(_LONGEST_CHAIN):
            issuers = [one for one in known if one != current and _issued(current, one)]
            if not issuers:
                break
            above = next((one for one in issuers if is_valid(one, now)), issuers[0])  # one may be a renewal
            name = above.subject.rfc4514_string()
            own = [one for one in files.lists if one.issuer == above.subject]
            good = [one for one in own if is_signed(one, above)]
            if any(one.get_revoked_certificate_by_serial_number(current.serial_number) for one in good):
                return Judgement(revoked=name)
            if problem is None and not vouched:
                problem = _problem(above, below, own, good, None if overdue else now, now)
            vouched = vouched or above in files.trusted
            current = above
        if vouched and files.unreadable:
            problem = problem or ("opcua.trust-file-unreadable", {"file": files.unreadable[0]})
        if vouched and problem is not None:
            return Judgement(problem=problem)
        return Judgement(vouched=vouched)

    def _read(self) -> _Files:
        """Return what the files say now; they are read when one came, went or changed."""
        paths = [path for pattern in ("*/certs/*", "*/crl/*") for path in self._folder.glob(pattern)]
        stamp = []
        for path in sorted(paths):
            try:
                about = path.stat()
            except OSError:
                continue
            stamp.append((str(path.relative_to(self._folder)), about.st_mtime_ns, about.st_size))
        if stamp != self._stamp:
            self._files, self._stamp = self._load([self._folder / name for name, _, _ in stamp]), stamp
        return self._files

    def _load(self, paths: Sequence[Path]) -> _Files:
        files = _Files()
        for path in paths:
            kind, trusted = path.parent.name, path.parent.parent.name == "trusted"
            try:
                body = path.read_bytes()
                if kind == "crl":
                    files.lists.append(read_list(body))
                else:
                    one = read_certificate(body)
                    (files.trusted if trusted else files.issuers).append(one)
            except (OSError, ValueError):
                files.unreadable.append(str(path.relative_to(self._folder)))
        return files


def _either(body: bytes, der: Callable[[bytes], T], pem: Callable[[bytes], T]) -> T:
    return pem(body) if body.lstrip().startswith(b"-----BEGIN") else der(body)


def read_certificate(body: bytes) -> x509.Certificate:
    """Return a certificate from DER or PEM. Raises ValueError."""
    return _either(body, x509.load_der_x509_certificate, x509.load_pem_x509_certificate)


def read_list(body: bytes) -> x509.CertificateRevocationList:
    """Return a revocation list from DER or PEM. Raises ValueError."""
    return _either(body, x509.load_der_x509_crl, x509.load_pem_x509_crl)


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _issued(lower: x509.Certificate, above: x509.Certificate) -> bool:
    """Tell whether `above` signed `lower`, by name and signature."""
    try:
        lower.verify_directly_issued_by(above)
    except _UNFIT:
        return False
    return True


def is_signed(one: x509.CertificateRevocationList, above: x509.Certificate) -> bool:
    """Tell whether a revocation list is this authority's, by its signature."""
    try:
        return one.is_signature_valid(above.public_key())  # type: ignore[arg-type]  # others raise TypeError
    except _UNFIT:
        return False


def _problem(
    above: x509.Certificate,
    below: int,
    own: Sequence[x509.CertificateRevocationList],
    good: Sequence[x509.CertificateRevocationList],
    due: datetime | None,
    now: datetime,
) -> tuple[str, dict[str, Any]] | None:
    """Return why this authority's word does not count now.

    below: how many authorities stand between it and the server. due: when its list must not be overdue.
    """
    detail = {"authority": above.subject.rfc4514_string()}
    if not may_sign(above, below):
        return "opcua.authority-not-allowed", detail
    if not is_valid(above, now):
        return "opcua.authority-expired", detail
    if own and not good:
        return "opcua.revocation-list-wrong", detail
    if good and due is not None and all(is_overdue(one, due) for one in good):
        return "opcua.revocation-list-overdue", detail
    return None


def is_valid(one: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate is valid by its times."""
    return one.not_valid_before_utc <= now < one.not_valid_after_utc


def is_overdue(one: x509.CertificateRevocationList, now: datetime) -> bool:
    """Tell whether a revocation list should have been renewed; one that says no time never is."""
    return one.next_update_utc is not None and one.next_update_utc <= now


def may_sign(above: x509.Certificate, below: int = 0) -> bool:
    """Tell whether a certificate is an authority's, with `below` others under it (RFC 5280 §4.2.1.9, §4.2.1.3)."""
    try:
        basic = above.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca or (basic.path_length is not None and below > basic.path_length):
            return False
        return above.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as error:
        return error.oid == x509.KeyUsage.oid
    except ValueError:
        return False
