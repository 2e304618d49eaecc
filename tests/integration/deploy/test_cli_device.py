"""Single edits from the command line, on a real database: change, attest, retire, and a key refused."""

import base64
import json
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from deploy.cli import app
from deploy.layout import Layout
from muster.errors import MusterError
from tests.conftest import Bus, Database

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
BOOK = """
enterprises: [{code: acme, name: 示例企业}]
gateways: [{code: line-1, name: 一号网关}]
models:
  - {code: pump, name: 水泵, protocol: modbus, device_class: operating,
     tags: [{name: speed, type: uint16, address: {register: 0}}]}
devices:
  - {enterprise: acme, gateway: line-1, model: pump, code: P-1, name: 1号水泵, serial_number: SN-1,
     connection: {host: 127.0.0.1, unit: 1}}
"""


@pytest.fixture
def installation(database: Database, nats_server: Bus, tmp_path: Path) -> Layout:
    """A data directory whose database is up, with one pump registered."""
    layout = Layout(tmp_path / "data")
    layout.make()
    ways = {
        "owner": database.owner,
        "ingest": database.ingest,
        "api": database.api,
        "bus": nats_server.settings().model_dump(mode="json"),
        "disk_budget_bytes": 10**9,
    }
    layout.write(layout.connections_file, json.dumps(ways))
    (tmp_path / "book.yaml").write_text(BOOK, "utf-8")
    assert run(layout, "import", str(tmp_path / "book.yaml")).exit_code == 0
    return layout


def run(layout: Layout, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(layout.root)])


def device(database: Database, column: str) -> object:
    with psycopg.connect(database.owner) as session:
        row = session.execute(f"select {column} from device where code = 'P-1'").fetchone()
    assert row is not None
    return row[0]


def test_a_device_is_changed_and_a_wrong_field_is_named(installation: Layout, database: Database) -> None:
    assert run(installation, "device", "change", "acme", "P-1", "interval_s=5", "name=循环泵").exit_code == 0
    assert (device(database, "interval_s"), device(database, "name")) == (5.0, "循环泵")
    wrong = run(installation, "device", "change", "acme", "P-1", "colour=blue")
    assert isinstance(wrong.exception, MusterError)
    assert "colour" in str(wrong.exception)


def test_a_device_is_real_only_with_a_nameplate_and_leaves_the_count_when_retired(
    installation: Layout, database: Database, tmp_path: Path
) -> None:
    plate = tmp_path / "plate.png"
    attest = ["device", "attest", "acme", "P-1", "--serial-number", "SN-1", "--by", "王工", "--real"]
    plate.write_text("no picture", "utf-8")
    assert isinstance(run(installation, *attest, "--nameplate", str(plate)).exception, MusterError)
    assert device(database, "origin") == "unknown"
    plate.write_bytes(PNG)
    assert run(installation, *attest, "--nameplate", str(plate)).exit_code == 0
    assert device(database, "origin") == "real"
    assert run(installation, "device", "retire", "acme", "P-1").exit_code == 0
    assert device(database, "retired_at") is not None
    assert isinstance(run(installation, "device", "retire", "acme", "P-9").exception, MusterError)


def test_a_gateways_key_is_enrolled_and_revoked(installation: Layout, database: Database) -> None:
    key = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    assert run(installation, "gateway", "add", "line-2", "--public-key", key).exit_code == 0
    assert run(installation, "gateway", "revoke", "line-2", "--public-key", key).exit_code == 0
    with psycopg.connect(database.owner) as session:
        rows = session.execute("select revoked_at is not null from gateway_key").fetchall()
    assert rows == [(True,)]
