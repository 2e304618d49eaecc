"""The data directory: one holder, secrets that only their owner reads, clear words when it cannot be used."""

import stat
from pathlib import Path

import pytest

from deploy.layout import Layout
from muster.errors import ConfigError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


def test_a_secret_is_made_once_and_only_its_owner_reads_it(layout: Layout) -> None:
    first = layout.secret("api")
    assert layout.secret("api") == first
    assert len(first) == 48
    mode = layout.secret_file("api").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(layout.secret_file("api").parent.stat().st_mode) == 0o700


def test_a_gateways_key_stays_the_same(layout: Layout) -> None:
    key = layout.gateway_key("demo-1")
    assert len(key) == 32
    assert layout.gateway_key("demo-1") == key
    assert layout.gateway_key("demo-2") != key


def test_a_second_launcher_is_refused_while_the_first_holds_the_data(layout: Layout) -> None:
    with layout.held(), pytest.raises(ConfigError, match="in use by another Muster"), layout.held():
        pass
    with layout.held():
        pass


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--data-dir"):
        Layout(tmp_path / "file" / "data").make()


def test_nothing_is_running_where_nothing_was_started(layout: Layout) -> None:
    assert layout.read_state() is None
