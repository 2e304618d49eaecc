"""Which attestation makes a device real, and what ends that."""

import pytest

from services.ledger.checks import resolve
from services.ledger.files import load
from services.ledger.registered import (
    AttestationRow,
)
from tests.unit.services.ledger.books import TODAY, Protocols, checked, registered, said

REAL = """
devices:
  - enterprise: acme
    code: P-1
    serial_number: S1
    origin: real
"""


def test_origin_real_needs_an_attestation_of_this_serial_number(protocols: Protocols) -> None:
    existing = registered()
    assert said(checked(REAL, protocols, existing)) == [
        ("book.origin-needs-attestation", "devices", 3, "origin")
    ]
    existing.attestations = {
        7: [
            AttestationRow(device=7, serial_number="S2", nameplate_sha256=b"", attested_by="", attested_on="")
        ]
    }
    assert not checked(REAL, protocols, existing).ok
    existing.attestations[7][0].serial_number = "S1"
    assert checked(REAL, protocols, existing).ok


def test_a_real_devices_serial_number_cannot_change_without_a_new_attestation(protocols: Protocols) -> None:
    existing = registered(origin="real", serial_number="S1")
    text = "devices: [{enterprise: acme, code: P-1, serial_number: S2}]"
    assert said(checked(text, protocols, existing)) == [
        ("book.origin-needs-attestation", "devices", 1, "serial_number")
    ]


JPEG = "data:image/jpeg;base64,/9j/AAAA"


@pytest.mark.parametrize(
    ("attestation", "key"),
    [
        (f"{{attested_by: me, attested_on: 2026-11-01, nameplate: '{JPEG}'}}", None),
        (f"{{attested_by: me, attested_on: 2026-11-24, nameplate: '{JPEG}', serial_number: S1}}", None),
        (f"{{attested_by: me, attested_on: 2026-11-25, nameplate: '{JPEG}'}}", "book.attested-in-future"),
        (
            f"{{attested_by: me, attested_on: 2026-11-01, nameplate: '{JPEG}', serial_number: X}}",
            "book.attestation-serial-differs",
        ),
        ("{attested_by: me, attested_on: 2026-11-01, nameplate: photo.jpg}", "book.nameplate-not-here"),
        (
            "{attested_by: me, attested_on: 2026-11-01, nameplate: 'data:image/png;base64,AAAA'}",
            "book.nameplate-not-an-image",
        ),
        (
            "{attested_by: me, attested_on: 2026-11-01, nameplate: 'data:image/png;base64,*'}",
            "book.nameplate-unreadable",
        ),
        (
            f"{{attested_by: me, attested_on: 2026-11-01, nameplate: 'sha256:{'0' * 64}'}}",
            "book.nameplate-unknown",
        ),
        ("{attested_by: me, attested_on: 2026-11-01}", "book.required"),
        ("null", "book.origin-needs-attestation"),
    ],
)
def test_an_attestation_makes_a_device_real_when_it_is_whole(
    protocols: Protocols, attestation: str, key: str | None
) -> None:
    report = checked(REAL + f"    attestation: {attestation}\n", protocols, registered())
    assert [problem.key for problem in report.errors] == ([] if key is None else [key])
    if key is None:
        assert report.changes[0].fields == ("serial_number", "origin", "attestation")


def test_an_attestation_that_is_recorded_already_changes_nothing(protocols: Protocols) -> None:
    text = REAL + f"    attestation: {{attested_by: me, attested_on: 2026-11-01, nameplate: '{JPEG}'}}\n"
    existing = registered()
    made = resolve(load(text.encode(), "yaml"), protocols, existing, today=TODAY).writes.attestations[0]
    existing = registered(origin="real", serial_number="S1")
    existing.attestations = {
        7: [
            AttestationRow(
                device=7,
                serial_number="S1",
                nameplate_sha256=made.nameplate_sha256,
                attested_by="me",
                attested_on="2026-11-01",
            )
        ]
    }
    assert checked(text, protocols, existing).changes == []
    again = text.replace(f"'{JPEG}'", f"sha256:{made.nameplate_sha256.hex()}")
    assert checked(again, protocols, existing).changes == []
