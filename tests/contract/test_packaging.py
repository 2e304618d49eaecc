"""What is installed is what is locked, and nothing in a working folder passes for it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKS = {name: (ROOT / "locks" / f"{name}.txt").read_text("utf-8") for name in ("runtime", "test", "fuzz")}
PACKAGES = (
    "muster", "gateway", "bus", "ingest", "store", "evidence", "services", "api", "dashboards", "simulators", "deploy",
)  # fmt: skip


def distribution(requirement: str) -> str:
    """Return the normalised name that a requirement begins with (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def locked(name: str) -> set[str]:
    return {distribution(line) for line in LOCKS[name].splitlines() if re.match(r"[A-Za-z0-9]", line)}


def test_every_dependency_is_locked() -> None:
    needed = {distribution(each) for each in PROJECT["dependencies"]}
    assert needed <= locked("runtime")
    assert needed | {distribution(each) for each in PROJECT["optional-dependencies"]["test"]} <= locked(
        "test"
    ) | locked("runtime")
    assert locked("test") | {
        distribution(each) for each in PROJECT["optional-dependencies"]["fuzz"]
    } == locked("fuzz")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_each_distribution_by_hash_and_names_no_index(name: str) -> None:
    text = LOCKS[name].replace("\\\n", " ")
    for line in filter(None, (each.partition("#")[0].strip() for each in text.splitlines())):
        assert not line.startswith("-"), line
        assert "://" not in line
        assert re.search(r"==\S+.* --hash=sha256:[0-9a-f]{64}", line), line[:80]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_where_a_process_is_started_does_not_shadow_a_package(package: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise SystemExit('shadowed')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import {package}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_child_of_ours_is_started_without_its_working_folder_on_the_path() -> None:
    for file in sorted((ROOT / "deploy").glob("*.py")):
        for call in re.findall(r"\[\s*sys\.executable,([^\]]*)\]", file.read_text("utf-8")):
            assert call.lstrip().startswith('"-P"'), f"{file.name}: {call}"
