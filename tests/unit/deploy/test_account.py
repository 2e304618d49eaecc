"""The unprivileged account: what it cannot reach is found before a server fails on it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.account import Account, barrier, bring

STRANGER = Account("stranger", 4242, 4242)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that strangers reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="muster-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture
def closed(reachable: Path) -> Path:
    folder = reachable / "closed"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "program").write_text("x", "utf-8")
    folder.chmod(0o700)
    return folder


def test_the_folder_that_lets_no_stranger_pass_is_named(closed: Path) -> None:
    assert barrier(closed / "inner" / "program", STRANGER) == closed
    closed.chmod(0o711)
    assert barrier(closed / "inner" / "program", STRANGER) is None


def test_who_drops_no_rights_meets_no_barrier(closed: Path) -> None:
    assert barrier(closed / "inner" / "program", None) is None


def test_programs_behind_a_barrier_are_copied_once_to_where_they_can_be_reached(
    closed: Path, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    assert bring(closed / "inner", into, None) == closed / "inner"
    copy = bring(closed / "inner", into, STRANGER)
    assert copy == into / "inner"
    (copy / "program").write_text("kept", "utf-8")
    bring(closed / "inner", into, STRANGER)
    assert (copy / "program").read_text("utf-8") == "kept"
