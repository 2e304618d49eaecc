"""A recording served as a Modbus device, row by row at its own rate, and marked as a replay.

Every numeric column stands as float64 in four holding registers, bit for bit as the file's text reads; the number
of the row that is served, from 1, stands in two registers before them, so that what is stored can be held against
the file. The device names itself a replay, and its book entry says so too.
"""

import asyncio
import csv
import itertools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muster.errors import ConfigError
from simulators.modbus.identity import BLOCK_LENGTH, Identity
from simulators.modbus.server import Endpoint
from simulators.modbus.units import Image, ImageUnit, Table

ROW_REGISTERS = 2
IDENTITY_REGISTER = 1000
_SPAN = IDENTITY_REGISTER + BLOCK_LENGTH
_MOST_COLUMNS = (IDENTITY_REGISTER - ROW_REGISTERS) // 4


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: names of its numeric columns, (rows, columns) float64, and each row's length in seconds."""

    name: str
    columns: list[str]
    rows: NDArray[np.float64]
    lengths_s: NDArray[np.float64]


def load(path: Path) -> Recording:
    """Read a CSV with a header, its delimiter found out; a column of instants gives the rate, else 1 s a row.

    Raises:
        ConfigError: it cannot be read, a row is shorter than the header, or no column is numeric; the line is named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            delimiter = max(";,\t", key=head.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            names = next(reader)
            cells = [row for row in reader if row]
    except (OSError, UnicodeDecodeError, StopIteration, csv.Error) as error:
        raise ConfigError(f"{path}: {error or 'empty'}") from error
    for line, row in enumerate(cells, 2):
        if len(row) != len(names):
            raise ConfigError(f"{path}: line {line} has {len(row)} cells, the header {len(names)}")
    numeric = [at for at in range(len(names)) if cells and _is_number(cells[0][at])]
    if not numeric or len(numeric) > _MOST_COLUMNS:
        raise ConfigError(f"{path}: {len(numeric)} numeric columns, 1 to {_MOST_COLUMNS} can be served")
    rows = np.empty((len(cells), len(numeric)))
    for index, row in enumerate(cells):
        try:
            rows[index] = [float(row[at]) for at in numeric]
        except ValueError as error:
            raise ConfigError(f"{path}: line {index + 2}: {error}") from error
    return Recording(path.stem, [names[at] for at in numeric], rows, _lengths(cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lengths(cells: list[list[str]]) -> NDArray[np.float64]:
    """Return how long each row lasts: until the next one's instant, where the first column holds instants."""
    lengths = np.ones(len(cells))
    try:
        instants = [datetime.fromisoformat(row[0]) for row in cells]
    except ValueError:
        return lengths
    seconds = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(instants)]
    lengths[: len(seconds)] = np.clip(seconds, 0.01, 3600.0)
    return lengths


class Player:
    """Serves a recording behind one endpoint, unit 1."""

    def __init__(self, recording: Recording, host: str, port: int) -> None:
        self.recording = recording
        self._image = Image(_SPAN)
        identity = _identity(recording)
        self._image.words[Table.HOLDING, IDENTITY_REGISTER:_SPAN] = identity.block()
        self.endpoint = Endpoint(0, host, port, {1: ImageUnit(self._image, 0, _SPAN, identity.objects())})
        self.show(0)

    def show(self, row: int) -> None:
        """Let the registers hold this row, counted from 0."""
        content = (row + 1).to_bytes(4, "big") + self.recording.rows[row].astype(">f8").tobytes()
        words = np.frombuffer(content, ">u2")
        self._image.words[Table.HOLDING, : len(words)] = words

    async def run(self, speed: float, loop: bool) -> None:
        """Play to the end, `speed` times as fast as recorded; then again, or stand on the last row."""
        clock = asyncio.get_running_loop()
        while True:
            due = clock.time()
            for row in range(len(self.recording.rows)):
                self.show(row)
                due += float(self.recording.lengths_s[row]) / speed
                await asyncio.sleep(due - clock.time())
            if not loop:
                await clock.create_future()


def _identity(recording: Recording) -> Identity:
    name = recording.name.encode("ascii", "replace").decode()[:24]
    return Identity("replayed", "replay", "replay of a recording", name, f"REPLAY-{name}")


def book(recording: Recording, host: str, port: int, gateway: str, interval_s: float) -> dict[str, Any]:
    """Return the device book of a replay; the row's number is the first tag."""
    tags: list[dict[str, Any]] = [
        {"name": "row", "label": "行号", "type": "uint32", "address": {"table": "holding", "register": 0}}
    ]
    tags += [
        {"name": name, "type": "float64", "address": {"table": "holding", "register": ROW_REGISTERS + 4 * at}}
        for at, name in enumerate(recording.columns)
    ]
    return {
        "enterprises": [{"code": "replays", "name": "录像回放", "industry": "other"}],
        "models": [
            {
                "code": f"replay-{recording.name}",
                "name": f"回放 {recording.name}",
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
                "model": f"replay-{recording.name}",
                "code": f"REPLAY-{recording.name}",
                "name": f"回放 {recording.name}",
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
