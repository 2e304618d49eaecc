"""Authorities from the command line: trusted, listed, renewed, removed, and who did it is written down."""

import json
from pathlib import Path

import psycopg
import pytest

from deploy.layout import Layout
from muster.errors import RequestError
from tests.conftest import Database
from tests.integration.deploy.test_cli_device import installation, run
from tests.unit.opcua.test_authorities import party, revocations, server
from tests.unit.opcua.test_trust import thumbprint

__all__ = ["installation"]


def test_an_authority_is_trusted_renewed_listed_and_removed(
    installation: Layout, database: Database, tmp_path: Path
) -> None:
    installation.outbox("line-1").mkdir(parents=True)
    root = party("root")
    authority, revoked = tmp_path / "root.der", tmp_path / "root.crl"
    authority.write_bytes(root.der)
    revoked.write_bytes(revocations(root, days=-1))
    assert run(installation, "certificate", "add", str(authority), "--gateway", "line-1").exit_code == 0
    made = run(installation, "certificate", "add", str(revoked), "--gateway", "line-1", "--json")
    assert json.loads(made.stdout)["problem"] == "opcua.revocation-list-overdue"
    listed = run(installation, "certificate", "authorities", "--gateway", "line-1")
    assert "CN=root" in listed.stdout
    assert "overdue" in listed.stdout
    gone = run(installation, "certificate", "remove", thumbprint(root.der).lower(), "--gateway", "line-1")
    assert len(gone.stdout.splitlines()) == 2
    with psycopg.connect(database.owner) as session:
        rows = session.execute(
            "select action from book_change where source like '%opcua%' order by id"
        ).fetchall()
    assert [action for (action,) in rows] == ["trust-certificate", "refuse-certificate"]


def test_what_is_no_authority_and_an_unknown_gateway_are_named(installation: Layout, tmp_path: Path) -> None:
    installation.outbox("line-1").mkdir(parents=True)
    file = tmp_path / "press.der"
    file.write_bytes(server(party("root")).der)
    refused = run(installation, "certificate", "add", str(file), "--gateway", "line-1")
    assert isinstance(refused.exception, RequestError)
    assert "may not sign" in str(refused.exception)
    elsewhere = run(installation, "certificate", "authorities", "--gateway", "line-2")
    with pytest.raises(RequestError, match="line-2"):
        raise elsewhere.exception or AssertionError
