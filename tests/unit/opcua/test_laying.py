"""Authorities and revocation lists are laid where the room finds them, or refused by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.adapter import Workplace
from gateway.adapters.opcua.laying import Unfit, laid, lay, remove
from gateway.adapters.opcua.trust import Distrusted, Trust
from muster.clock import ManualClock, to_us
from tests.unit.opcua.test_authorities import NOW, party, revocations, server
from tests.unit.opcua.test_trust import ENDPOINT, thumbprint


def check(folder: Path, der: bytes) -> str:
    """Return why the room refuses a server, "" when it lets it in."""
    try:
        Trust(Workplace(1, "g", folder), ManualClock(to_us(NOW))).check(der, "press", ENDPOINT, None)
    except Distrusted as told:
        return told.reason
    return ""


def why(folder: Path, body: bytes) -> str:
    with pytest.raises(Unfit) as told:
        lay(folder, body, NOW, issuer=False)
    return told.value.reason


def test_what_is_laid_is_what_the_room_goes_by(tmp_path: Path) -> None:
    root = party("root")
    one = server(root)
    made = lay(tmp_path, root.der, NOW, issuer=False)
    assert (made.kind, made.thumbprint, made.problem) == ("authority", thumbprint(root.der), "")
    assert check(tmp_path, one.der) == ""
    lay(tmp_path, revocations(root), NOW, issuer=False)
    lay(tmp_path, revocations(root, one), NOW, issuer=False)
    assert check(tmp_path, one.der) == "opcua.certificate-revoked"
    assert [file.kind for file in laid(tmp_path, NOW)] == ["authority", "revocation-list"]
    assert len(remove(tmp_path, made.thumbprint)) == 2
    assert check(tmp_path, one.der) == "opcua.certificate-waiting"
    assert laid(tmp_path, NOW) == []


def test_an_issuer_is_trusted_for_nothing_by_itself(tmp_path: Path) -> None:
    root = party("root")
    between = party("plant", root)
    lay(tmp_path, between.der, NOW, issuer=True)
    assert check(tmp_path, server(between).der) == "opcua.certificate-waiting"
    lay(tmp_path, revocations(between), NOW, issuer=False)
    assert (tmp_path / "issuers" / "crl" / f"{thumbprint(between.der)}.crl").exists()


def test_what_could_let_nobody_in_is_not_laid(tmp_path: Path) -> None:
    root, namesake = party("root"), party("root")
    assert why(tmp_path, server(root).der) == "opcua.authority-not-allowed"
    assert why(tmp_path, party("old", days=-1, since=9).der) == "opcua.authority-expired"
    assert why(tmp_path, revocations(root)) == "opcua.authority-unknown"
    assert why(tmp_path, b"nothing") == "opcua.trust-file-unreadable"
    lay(tmp_path, root.der, NOW, issuer=False)
    assert why(tmp_path, revocations(namesake)) == "opcua.revocation-list-wrong"
    with pytest.raises(Unfit, match="authority-unknown"):
        remove(tmp_path, thumbprint(namesake.der))


def test_an_older_list_does_not_take_a_newer_ones_place(tmp_path: Path) -> None:
    root = party("root")
    one = server(root)
    lay(tmp_path, root.der, NOW, issuer=False)
    lay(tmp_path, revocations(root, one), NOW, issuer=False)
    assert why(tmp_path, revocations(root, since=5)) == "opcua.revocation-list-older"
    assert check(tmp_path, one.der) == "opcua.certificate-revoked"


def test_files_that_let_nobody_in_say_why(tmp_path: Path) -> None:
    root = party("root")
    lay(tmp_path, root.der, NOW, issuer=False)
    lay(tmp_path, revocations(root, days=-1), NOW, issuer=False)
    (tmp_path / "trusted" / "certs" / "torn.der").write_bytes(root.der[:-9])
    problems = {file.file.split("/")[1]: file.problem for file in laid(tmp_path, NOW + timedelta(hours=1))}
    assert problems == {"certs": "opcua.trust-file-unreadable", "crl": "opcua.revocation-list-overdue"}
