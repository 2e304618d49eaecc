"""A recording served as a Modbus device, row by row at its own rate, and marked as a replay.

Every numeric column stands in holding registers as the file's text reads, float64 or float32, bit for bit; a cell
without a number is the quiet NaN. The number of the row that is served, from 1, stands in two registers before
them, so that what is stored can be held against the file. The device names itself a replay, and so does its
book entry.
"""

import asyncio
import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muster.errors import ConfigError
from simulators.modbus.identity import BLOCK_LENGTH, Identity
from simulators.modbus.server import Endpoint
from simulators.modbus.units import Image, ImageUnit, Table

FloatType = Literal["float32", "float64"]
ROW_REGISTERS = 2
IDENTITY_REGISTER = 1000
_SPAN = IDENTITY_REGISTER + BLOCK_LENGTH
_MOST_COLUMNS = (IDENTITY_REGISTER - ROW_REGISTERS) // 4
_DTYPES: dict[FloatType, str] = {"float32": ">f4", "float64": ">f8"}
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
    if not 1 <= len(numeric) <= _MOST_COLUMNS:
        raise ConfigError(f"{path}: {len(numeric)} numeric columns, 1 to {_MOST_COLUMNS} can be served")
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


class Player:
    """Serves a recording behind one endpoint, unit 1; float_type: how its values stand in the registers."""

    def __init__(self, recording: Recording, host: str, port: int, float_type: FloatType = "float64") -> None:
        self.recording = recording
        self.rows_shown = 0
        self._dtype = _DTYPES[float_type]
        self._image = Image(_SPAN)
        identity = _identity(recording)
        self._image.words[Table.HOLDING, IDENTITY_REGISTER:_SPAN] = identity.block()
        self.endpoint = Endpoint(0, host, port, {1: ImageUnit(self._image, 0, _SPAN, identity.objects())})
        self.show(0)

    def show(self, row: int) -> None:
        """Let the registers hold this row, counted from 0."""
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there, as in any such device
            values = self.recording.rows[row].astype(self._dtype)
        words = np.frombuffer((row + 1).to_bytes(4, "big") + values.tobytes(), ">u2")
        self._image.words[Table.HOLDING, : len(words)] = words
        self.rows_shown += 1

    async def run(self, speed: float, loop: bool) -> None:
        """Play to the end, `speed` times as fast as recorded; then again, or stand on the last row."""
        clock = asyncio.get_running_loop()
        due = clock.time()
        while True:
            for row in range(len(self.recording.rows)):
                self.show(row)
                due += float(self.recording.lengths_s[row]) / speed
                await asyncio.sleep(due - clock.time())
            if not loop:
                await clock.create_future()


def _identity(recording: Recording) -> Identity:
    name = recording.name.encode("ascii", "replace").decode()[:24]
    return Identity("replayed", "replay", "replay of a recording", name, f"REPLAY-{name}")


def book(
    recording: Recording,
    host: str,
    port: int,
    gateway: str,
    interval_s: float,
    float_type: FloatType = "float64",
) -> dict[str, Any]:
    """Return the device book of a replay; the row's number is the first tag."""
    width = np.dtype(_DTYPES[float_type]).itemsize // 2
    name = recording.name[:_LONGEST_NAME]
    tags: list[dict[str, Any]] = [
        {"name": "row", "label": "行号", "type": "uint32", "address": {"table": "holding", "register": 0}}
    ]
    tags += [
        {
            "name": column,
            "type": float_type,
            "address": {"table": "holding", "register": ROW_REGISTERS + width * at},
        }
        for at, column in enumerate(recording.columns)
    ]
    return {
        "enterprises": [{"code": "replays", "name": "录像回放", "industry": "other"}],
        "models": [
            {
                "code": f"replay-{name}",
                "name": f"回放 {name}",
                "protocol": "modbus",
                "device_class": "other",
                "kind": "replay",
                "report_mode": "polled",
                "interval_s": interval_s,
                "tags": tags,
            }
        ],
        "devices": [
            {
                "enterprise": "replays",
                "gateway": gateway,
                "model": f"replay-{name}",
                "code": f"REPLAY-{name}",
                "name": f"回放 {name}",
                "origin": "replayed",
                "connection": {
                    "transport": "tcp",
                    "host": host,
                    "port": port,
                    "unit": 1,
                    "identity": {"kind": "sunspec", "register": IDENTITY_REGISTER},
                },
            }
        ],
    }
