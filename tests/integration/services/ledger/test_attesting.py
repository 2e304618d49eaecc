"""Attestations in the database: recorded once, never altered, refused when wrong."""

from datetime import date

import pytest

from muster.errors import RequestError
from tests.integration.services.ledger.books import BOOK, JPEG, Connection, Protocols, attest, put, rows


async def test_an_attestation_makes_a_device_real_and_is_never_altered(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    report = await put(api, protocols, "devices: [{enterprise: acme, code: P-1, origin: real}]")
    assert [problem.key for problem in report.errors] == ["book.origin-needs-attestation"]
    assert (await attest(api, protocols, real=True)).applied
    assert await rows(owner, "select origin, serial_number from device order by id limit 1") == [
        ("real", "S1")
    ]
    assert await rows(owner, "select attested_by, nameplate from attestation") == [("Lin", JPEG)]
    await attest(api, protocols, real=True)
    assert await rows(owner, "select count(*) from attestation") == [(1,)]


async def test_a_device_may_be_new_and_real_in_one_book(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    attested = (
        "name: one, serial_number: S1, origin: real, attestation: {attested_by: Lin, "
        "attested_on: 2026-01-02, nameplate: 'data:image/jpeg;base64,/9j/AAAA'}"
    )
    report = await put(api, protocols, BOOK.replace("name: one", attested))
    assert report.applied
    assert await rows(owner, "select code, origin from device where origin = 'real'") == [("P-1", "real")]


async def test_an_attestation_that_is_wrong_is_refused(api: Connection, protocols: Protocols) -> None:
    await put(api, protocols, BOOK)
    with pytest.raises(RequestError):
        await attest(api, protocols, nameplate=b"no image")
    with pytest.raises(RequestError):
        await attest(api, protocols, code="nothing")
    report = await attest(api, protocols, attested_on=date(2999, 1, 1), real=True)
    assert [problem.key for problem in report.errors] == ["book.attested-in-future"]
