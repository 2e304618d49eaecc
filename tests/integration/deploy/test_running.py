"""Finding the site that runs, and not being taken in by process ids that were given again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import running
from deploy.cli import app
from deploy.layout import Layout
from muster.errors import ConfigError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data directory whose state names this very process as its launcher, and a stranger as its child."""
    layout = Layout(tmp_path / "site")
    layout.make()
    process = {"pid": os.getppid(), "running": True, "since": 0, "restarts": 0, "monitor_port": None}
    state = {
        "launcher": os.getpid(),
        "ready": True,
        "console": "http://127.0.0.1:9/",
        "processes": {"keeper": process},
    }
    layout.write(layout.state_file, json.dumps(state))
    return layout


@pytest.fixture
def child() -> Iterator[int]:
    """The id of a process that is a child of this one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def test_a_state_file_left_behind_means_down_whoever_got_the_launchers_id(layout: Layout) -> None:
    assert running.status(layout)["up"] is False
    with layout.held():
        assert running.status(layout)["up"] is True
    assert running.status(layout)["up"] is False


def test_a_process_counts_as_up_only_while_it_is_the_launchers_child(layout: Layout, child: int) -> None:
    with layout.held():
        assert running.status(layout)["processes"]["keeper"]["up"] is False
        state = json.loads(layout.state_file.read_text("utf-8"))
        state["processes"]["keeper"]["pid"] = child
        layout.write(layout.state_file, json.dumps(state))
        assert running.status(layout)["processes"]["keeper"]["up"] is True


def _process_of(layout: Layout) -> subprocess.Popen[bytes]:
    """Start what looks in the process table like a process of this site."""
    waiting = "import sys; sys.stdin.read()"
    arguments = ["-m", "deploy.process", "keeper", "--settings", str(layout.run / "keeper.json")]
    return subprocess.Popen([sys.executable, "-c", waiting, *arguments], stdin=subprocess.PIPE)


def test_the_only_site_that_runs_is_found_wherever_it_keeps_its_data(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = running._seen
    monkeypatch.setattr(running, "_seen", lambda: [one for one in seen() if tmp_path in one.root.parents])
    other = Layout(tmp_path / "other")
    other.make()
    with _process_of(layout) as first, _process_of(other) as second:
        with layout.held():
            assert running.chosen(None) == layout
            assert running.chosen(other.root) == other
            with other.held(), pytest.raises(ConfigError, match="MUSTER_DATA_DIR"):
                running.chosen(None)
        first.kill()
        second.kill()


def test_the_data_directory_can_stand_in_the_environment(layout: Layout) -> None:
    said = CliRunner().invoke(app, ["status", "--json"], env={"MUSTER_DATA_DIR": str(layout.root)})
    assert json.loads(said.stdout)["data_dir"] == str(layout.root)
