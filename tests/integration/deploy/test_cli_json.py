"""`--json` gives one JSON value on stdout, also where a command otherwise says nothing or a bare word."""

import base64
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from deploy.cli import app
from deploy.layout import Layout
from muster.errors import RequestError
from tests.conftest import Database
from tests.integration.deploy.test_cli_device import installation, run

__all__ = ["installation"]
KEY = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


def told(layout: Layout, *arguments: str) -> Any:
    said = run(layout, *arguments, "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_changes_of_the_book_are_told_as_json(installation: Layout, tmp_path: Path) -> None:
    file = tmp_path / "out.yaml"
    exported = told(installation, "export", str(file))
    assert exported == {"file": str(file), "bytes": file.stat().st_size}
    assert told(installation, "gateway", "add", "g-2", "--public-key", KEY)["applied"] is True
    assert told(installation, "gateway", "revoke", "g-2", "--public-key", KEY)["gateway"] == "g-2"
    assert told(installation, "device", "change", "acme", "P-1", "interval_s=5")["applied"] is True
    assert told(installation, "device", "retire", "acme", "P-1")["retired"] is True


def test_tokens_and_the_version_are_told_as_json(installation: Layout) -> None:
    made = told(installation, "token", "create", "x")
    assert told(installation, "token", "revoke", str(made["id"])) == {"id": made["id"], "revoked": True}
    said = CliRunner().invoke(app, ["version", "--json"])
    assert list(json.loads(said.stdout)) == ["version"]


def test_a_refused_batch_is_shown_whole_and_an_unknown_one_is_named(
    installation: Layout, database: Database
) -> None:
    with psycopg.connect(database.ingest, autocommit=True) as session:
        row = session.execute(
            "insert into quarantine (gateway, partition, stream_sequence, reason, detail, body)"
            " values (1, 2, 77, 'quarantine.signature', '{}', 'x') returning id"
        ).fetchone()
    assert row is not None
    shown = told(installation, "quarantine", "show", str(row[0]))
    assert (shown["stream_sequence"], shown["bytes"]) == (77, 1)
    with pytest.raises(RequestError, match="quarantine 999"):
        CliRunner().invoke(
            app,
            ["quarantine", "show", "999", "--data-dir", str(installation.root)],
            catch_exceptions=False,
        )
