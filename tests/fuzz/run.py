"""`python -m tests.fuzz.run TARGET SECONDS FOLDER`: fuzz one target with atheris, guided by what code it reaches.

FOLDER holds the corpus, seeds and what was found; it is kept, so that the next run goes on from there. What breaks a
target is written beside it and the exit code is not 0.
"""

import importlib
import sys
from pathlib import Path

import atheris

_LONGEST_INPUT = 4096


def main() -> None:
    """Fuzz until the time is over or something broke."""
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with atheris.instrument_imports(include=["bus", "gateway", "ingest", "muster"]):
        targets = importlib.import_module("tests.fuzz.targets")
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST_INPUT}",
        "-timeout=10",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [sys.argv[0], *flags, f"-artifact_prefix={folder}/{name}-", str(corpus)], targets.TARGETS[name]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
