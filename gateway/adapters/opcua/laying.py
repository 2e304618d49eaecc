"""Laying authorities and their revocation lists into a room's folder, for the command line; and what lies there.

What is laid takes the name of its thumbprint, or of the authority's whose list it is, so that a newer list takes the
older one's place. The room reads the files again by itself (`authorities.py`).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.opcua.authorities import (
    is_overdue,
    is_signed,
    is_valid,
    may_sign,
    read_certificate,
    read_list,
)
from muster.clock import to_us
from muster.errors import Rejected
from muster.files import replace_file

_SIDES = ("trusted", "issuers")


class Unfit(Rejected):
    """A file that is not laid. reason: a catalogue key; detail: what its text names."""

    def __init__(self, reason: str, **detail: Any) -> None:
        super().__init__(f"{reason} {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Laid:
    """One file. kind: `authority`, `server`, `revocation-list` or `unreadable`; until: µs since 1970.

    thumbprint: SHA-1 of the certificate, or of the whole list; problem: a catalogue key, "" when it is in order.
    """

    file: str
    kind: str
    subject: str = ""
    thumbprint: str = ""
    until: int | None = None
    problem: str = ""


def laid(folder: Path, now: datetime) -> list[Laid]:
    """Return what lies in a room's folder, by name."""
    certificates = [one for _, one in _certificates(folder)]
    paths = [path for pattern in ("*/certs/*", "*/crl/*") for path in folder.glob(pattern)]
    return [_described(folder, path, certificates, now) for path in sorted(paths)]


def lay(folder: Path, body: bytes, now: datetime, *, issuer: bool) -> Laid:
    """Lay an authority's certificate or its revocation list. Raises Unfit, OSError.

    issuer: the authority only stands between others and a trusted one.
    """
    authority = _authority(body)
    if authority is None:
        path, body = _place_of_list(folder, body)
    else:
        if not may_sign(authority):
            raise Unfit("opcua.authority-not-allowed")
        if not is_valid(authority, now):
            raise Unfit("opcua.authority-expired")
        body = authority.public_bytes(Encoding.DER)
        path = folder / _SIDES[issuer] / "certs" / f"{_thumbprint(body)}.der"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, body)
    return _described(folder, path, [one for _, one in _certificates(folder)], now)


def remove(folder: Path, thumbprint: str) -> list[str]:
    """Remove an authority and its revocation lists; return the files that went. Raises Unfit when there is none."""
    gone = [path for path, one in _certificates(folder) if _print_of(one) == thumbprint]
    if not gone:
        raise Unfit("opcua.authority-unknown", authority=thumbprint)
    gone += [path for side in _SIDES if (path := folder / side / "crl" / f"{thumbprint}.crl").exists()]
    for path in gone:
        path.unlink()
    return [str(path.relative_to(folder)) for path in gone]


def _authority(body: bytes) -> x509.Certificate | None:
    try:
        return read_certificate(body)
    except ValueError:
        return None


def _place_of_list(folder: Path, body: bytes) -> tuple[Path, bytes]:
    """Return where a list goes, beside its authority, and its DER form."""
    try:
        one = read_list(body)
    except ValueError as error:
        raise Unfit("opcua.trust-file-unreadable") from error
    name = one.issuer.rfc4514_string()
    namesakes = [(path, above) for path, above in _certificates(folder) if above.subject == one.issuer]
    if not namesakes:
        raise Unfit("opcua.authority-unknown", authority=name)
    own = [(path, above) for path, above in namesakes if is_signed(one, above)]
    if not own:
        raise Unfit("opcua.revocation-list-wrong")
    path, above = own[0]
    place = path.parents[1] / "crl" / f"{_print_of(above)}.crl"
    if place.exists() and read_list(place.read_bytes()).last_update_utc > one.last_update_utc:
        raise Unfit("opcua.revocation-list-older")
    return place, one.public_bytes(Encoding.DER)


def _certificates(folder: Path) -> list[tuple[Path, x509.Certificate]]:
    found = []
    for side in _SIDES:
        for path in sorted((folder / side / "certs").glob("*")):
            one = _authority(path.read_bytes())
            if one is not None:
                found.append((path, one))
    return found


def _described(folder: Path, path: Path, certificates: list[x509.Certificate], now: datetime) -> Laid:
    name, body = str(path.relative_to(folder)), path.read_bytes()
    try:
        if path.parent.name == "crl":
            one = read_list(body)
            until = None if one.next_update_utc is None else to_us(one.next_update_utc)
            problem = "" if any(is_signed(one, above) for above in certificates) else "wrong"
            problem = problem or ("overdue" if is_overdue(one, now) else "")
            said = f"opcua.revocation-list-{problem}" if problem else ""
            thumbprint = _thumbprint(one.public_bytes(Encoding.DER))
            return Laid(name, "revocation-list", one.issuer.rfc4514_string(), thumbprint, until, said)
        held = read_certificate(body)
    except ValueError:
        return Laid(name, "unreadable", problem="opcua.trust-file-unreadable")
    said = "" if is_valid(held, now) else "opcua.authority-expired"
    kind = "authority" if may_sign(held) else "server"
    subject, until = held.subject.rfc4514_string(), to_us(held.not_valid_after_utc)
    return Laid(name, kind, subject, _print_of(held), until, said)


def _print_of(one: x509.Certificate) -> str:
    return _thumbprint(one.public_bytes(Encoding.DER))


def _thumbprint(der: bytes) -> str:
    return hashlib.sha1(der).hexdigest().upper()
