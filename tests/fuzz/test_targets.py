"""No bytes break a decoder or make it give a value that is none: always a few, with `--long` as many as time allows."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 20


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return a message with a few bytes changed, cut out or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_whole_and_damaged_messages_break_nothing(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)

    @settings(max_examples=200)
    @given(damaged(SEEDS[name]) | st.binary(max_size=64))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_no_bytes_that_a_fuzzer_finds_break_it(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: `pip install -r locks/fuzz.txt`")
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.run", name, str(SECONDS), str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "stat::number_of_executed_units" in ran.stderr
