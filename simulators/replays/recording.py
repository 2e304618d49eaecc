"""A recording of a machine, read from a CSV file."""

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muster.errors import ConfigError

MOST_COLUMNS = 249
"""As many float64 as have room in the registers before a replay's identity block."""
_ROW_LASTS_S = (0.001, 3600.0)
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: names of its numeric columns, (rows, columns) float64, and each row's length in seconds."""

    name: str
    columns: list[str]
    rows: NDArray[np.float64]
    lengths_s: NDArray[np.float64]


def load(path: Path) -> Recording:
    """Read a CSV with a header, its delimiter found out; a first column of instants gives the rate, else 1 s a row.

    A column is numeric when its first cell that is not empty is a number.

    Raises:
        ConfigError: it cannot be read, a row is not as long as the header, a cell of a numeric column is text, or
            no column is numeric; the line is named.
    """
    names, cells, lines = _read(path)
    for line, row in zip(lines, cells, strict=True):
        if len(row) != len(names):
            raise ConfigError(f"{path}: line {line} has {len(row)} cells, the header {len(names)}")
    numeric = [at for at in range(len(names)) if _is_numeric([row[at] for row in cells])]
    if not 1 <= len(numeric) <= MOST_COLUMNS:
        raise ConfigError(f"{path}: {len(numeric)} numeric columns, 1 to {MOST_COLUMNS} can be served")
    rows = np.empty((len(cells), len(numeric)))
    for index, row in enumerate(cells):
        try:
            rows[index] = [float(row[at]) if row[at].strip() else np.nan for at in numeric]
        except ValueError as error:
            raise ConfigError(f"{path}: line {lines[index]}: {error}") from error
    return Recording(path.stem, _tag_names([names[at] for at in numeric]), rows, _lengths_s(cells))


def _read(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows that are not empty, and the line on which each ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(";,\t", key=head.count))
            names = next(reader)
            found = [(row, reader.line_num) for row in reader if row]
    except (OSError, UnicodeDecodeError, StopIteration, csv.Error) as error:
        raise ConfigError(f"{path}: {str(error) or 'empty'}") from error
    return names, [row for row, _ in found], [line for _, line in found]


def _is_numeric(column: Sequence[str]) -> bool:
    first = next((cell for cell in column if cell.strip()), "")
    try:
        float(first)
    except ValueError:
        return False
    return True


def _tag_names(headings: Sequence[str]) -> list[str]:
    """Return names that the device book takes: no blank at an end, none empty, none twice, none too long."""
    names: list[str] = []
    for at, heading in enumerate(headings, 1):
        base = re.sub(r"\s+", " ", heading).strip()[:_LONGEST_NAME] or f"column {at}"
        name, again = base, 2
        while name in names or name == "row":
            name, again = f"{base} ({again})", again + 1
        names.append(name)
    return names


def _lengths_s(cells: list[list[str]]) -> NDArray[np.float64]:
    """Return how long each row lasts: until the next one's instant, where the first column holds instants."""
    lengths = np.ones(len(cells))
    try:
        instants = [datetime.fromisoformat(row[0].strip()) for row in cells]
        seconds = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(instants)]
    except (ValueError, TypeError):
        return lengths
    lengths[: len(seconds)] = np.clip(seconds, *_ROW_LASTS_S)
    return lengths
