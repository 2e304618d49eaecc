"""Attestations in a book: who says that a device is a real machine, and whether that may be believed here.

Origin `real` stands only with an attestation of the very serial number that the device has.
"""

import hashlib

from msgspec import UNSET

from services.ledger.document import Attestation, Device
from services.ledger.nameplates import REFERENCE
from services.ledger.registered import AttestationRow, DeviceRow
from services.ledger.resolution import NewAttestation, Resolution


def attest(resolution: Resolution, entry: Device, old: DeviceRow | None, new: DeviceRow, latest: str) -> bool:
    """Take up the entry's attestation, check that a real device has one, and tell whether there is a new one.

    latest: the last day (ISO 8601) that an attestation may bear.
    """
    known = resolution.registered.attestations.get(old.number or 0, []) if old else []
    if isinstance(entry.attestation, Attestation):
        try:
            made = _attestation(entry.attestation, known, new, latest)
        except _Wrong as wrong:
            resolution.error("devices", entry.row, wrong.field, wrong.key, **wrong.params)
            return False
        if made is not None:
            resolution.writes.attestations.append(made)
        return made is not None
    if new.origin == "real" and not any(row.serial_number == new.serial_number for row in known):
        resolution.error(
            "devices",
            entry.row,
            "origin" if entry.origin is not UNSET else "serial_number",
            "book.origin-needs-attestation",
            serial_number=new.serial_number,
        )
    return False


class _Wrong(Exception):
    """An attestation that cannot be taken up: the field, a message key, the facts."""

    def __init__(self, field: str, key: str, **params: str) -> None:
        super().__init__(key)
        self.field, self.key, self.params = field, key, params


def _attestation(
    said: Attestation, known: list[AttestationRow], new: DeviceRow, latest: str
) -> NewAttestation | None:
    """Return the attestation to be recorded, None when it is recorded already. Raises _Wrong."""
    serial = said.serial_number if isinstance(said.serial_number, str) else ""
    serial = serial or new.serial_number
    if not serial:
        raise _Wrong("serial_number", "book.attestation-without-serial")
    if serial != new.serial_number:
        raise _Wrong(
            "attestation.serial_number",
            "book.attestation-serial-differs",
            value=serial,
            serial_number=new.serial_number,
        )
    if said.attested_on > latest:
        raise _Wrong("attestation.attested_on", "book.attested-in-future", value=said.attested_on)
    nameplate = said.nameplate if isinstance(said.nameplate, bytes) else None
    if nameplate is not None:
        digest = hashlib.sha256(nameplate).digest()
    else:
        match = REFERENCE.fullmatch(str(said.nameplate))
        digest = bytes.fromhex(match[1]) if match else b""
        if not any(row.nameplate_sha256 == digest for row in known):
            raise _Wrong("attestation.nameplate", "book.nameplate-unknown", value=str(said.nameplate)[:80])
    made = (serial, digest, said.attested_by, said.attested_on)
    if any(
        (row.serial_number, row.nameplate_sha256, row.attested_by, row.attested_on) == made for row in known
    ):
        return None
    return NewAttestation(new, serial, nameplate, digest, said.attested_by, said.attested_on)
