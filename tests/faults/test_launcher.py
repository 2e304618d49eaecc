"""The launcher as users meet it: nothing outlives it, nothing is started twice, and its refusals are clear."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from psutil import pid_exists as alive

from deploy.web import fetch
from tests.faults.stack import MUSTER, stack, wait_until

SMALL = ["--devices", "18"]


def refused(*arguments: str) -> str:
    """Run a command that must refuse at once and return what it says."""
    done = subprocess.run([*MUSTER, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_a_taken_port_a_wrong_file_and_an_unusable_folder_are_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port} is taken" in refused(
            "demo", "--port", port, "--data-dir", str(tmp_path / "data")
        )
    (tmp_path / "site.toml").write_text("[api]\nprot = 1\n", "utf-8")
    said = refused("up", "--config", str(tmp_path / "site.toml"), "--data-dir", str(tmp_path / "data"))
    assert "api.prot" in said
    (tmp_path / "file").touch()
    assert "--data-dir" in refused("demo", "--data-dir", str(tmp_path / "file" / "data"))
    assert "nothing was ever started" in refused("export", "x.yaml", "--data-dir", str(tmp_path / "empty"))


@pytest.mark.timeout(240)
def test_a_demo_counts_its_simulators_survives_a_second_start_and_leaves_nothing_when_killed(
    tmp_path: Path, served: Path, free_port: int
) -> None:
    data = served / "demo"  # the database's user may pass there, whatever other test sessions do
    arguments = ["demo", *SMALL, "--port", str(free_port), "--data-dir", str(data)]
    for end in (signal.SIGTERM, signal.SIGKILL):
        with (tmp_path / "demo.out").open("ab") as log:
            launcher = subprocess.Popen([*MUSTER, *arguments], stdout=log, stderr=log)
        try:
            wait_until(
                lambda: "演练 18 · 正式 0" in (tmp_path / "demo.out").read_text("utf-8"), "the count", 120
            )
            (tmp_path / "demo.out").write_text("", "utf-8")
            gaps = fetch(f"http://127.0.0.1:{free_port}/api/v1/gaps")
            assert "connection-refused" not in json.dumps(gaps), "the gateway came before its equipment"
            state = json.loads((data / "run" / "state.json").read_text("utf-8"))
            children = [process["pid"] for process in state["processes"].values()]
            assert all(alive(pid) for pid in children)
            other = str(free_port + 1)
            assert "in use by another Muster" in refused("demo", "--port", other, "--data-dir", str(data))
            launcher.send_signal(end)
            launcher.wait(60)
            wait_until(lambda pids=children: not any(map(alive, pids)), "every child gone", 30)
        finally:
            if launcher.poll() is None:
                launcher.kill()
                launcher.wait()


@pytest.mark.timeout(240)
def test_what_was_not_known_then_is_unobserved_then_and_corrected_later(free_port: int) -> None:
    with stack(10, free_port) as whole:
        ingest = whole.pid("ingest-1")
        os.kill(ingest, signal.SIGSTOP)
        try:
            wait_until(lambda: whole.count()["rehearsal"]["by_state"]["unobserved"] == 10, "unobserved", 60)
            shown = whole.count()
            assert shown["rehearsal"]["connected"] == 0
            assert shown["rehearsal"]["by_state"]["offline"] == 0
        finally:
            os.kill(ingest, signal.SIGCONT)
        wait_until(lambda: whole.count()["rehearsal"]["connected"] == 10, "the count again", 60)
        then = shown["at"]
        corrected = whole.count(at=then)
        assert corrected["rehearsal"]["connected"] == 10
        as_shown = whole.count(at=then, as_known_at=then)
        assert as_shown["rehearsal"]["by_state"] == shown["rehearsal"]["by_state"]
        before = whole.count(at=then)["rehearsal"]["connected"]
        whole.retire_all()
        wait_until(lambda: whole.count()["frame"]["devices"] == 0, "everything retired", 30)
        assert whole.count(at=then)["rehearsal"]["connected"] == before
