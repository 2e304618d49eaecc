"""An installation's file: every mistake is named by its key, and nothing is guessed."""

from pathlib import Path

import pytest

from deploy import site
from muster.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, "utf-8")
    return path


def test_an_empty_file_is_the_embedded_installation_without_simulators(tmp_path: Path) -> None:
    found = site.load(write(tmp_path, ""))
    assert found.database is None
    assert found.simulators is None
    assert found.api.anonymous == "none"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[api]\nprot = 1", "api.prot"),
        ("[api]\nport = 70000", "api.port"),
        ('[api]\nport = "x"', "api.port"),
        ("[ingest]\nworkers = 9", "ingest.workers"),
        ("[storage]\ncache_bytes = 1", "storage.cache_bytes"),
        ('[[gateways]]\ncode = "../x"', "gateways.0.code"),
        ("[database]\n", "database.url"),
        ("unknown = 1", "unknown"),
    ],
)
def test_a_wrong_or_unknown_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as error:
        site.load(write(tmp_path, text))
    assert f"{named}:" in str(error.value)


def test_a_file_that_is_no_toml_or_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"site\.toml"):
        site.load(write(tmp_path, "[[["))
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        site.load(tmp_path / "absent.toml")


def test_the_demo_shows_itself_to_this_machine_only() -> None:
    assert site.demo(8420, 520).api.host == "127.0.0.1"
    assert site.demo(8420, None).simulators is None
