"""The options that commands share, and how results are shown."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="MUSTER_DATA_DIR",
        help="where the installation keeps its data; without it that of the only one that runs here",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON value on stdout")]


def show(lines: Iterable[str]) -> None:
    """Print result lines."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
