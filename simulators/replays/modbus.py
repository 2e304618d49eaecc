"""A recording as a Modbus device: every column in holding registers as the file's text reads, bit for bit.

float64 or float32; a cell without a number is the quiet NaN. The row's number stands in two registers before them.
"""

from typing import Any, Literal

import numpy as np

from simulators.modbus.identity import BLOCK_LENGTH
from simulators.modbus.server import Endpoint
from simulators.modbus.units import Image, ImageUnit, Table
from simulators.replays.player import Player, identity
from simulators.replays.recording import Recording

FloatType = Literal["float32", "float64"]
ROW_REGISTERS = 2
IDENTITY_REGISTER = 1000
_SPAN = IDENTITY_REGISTER + BLOCK_LENGTH
_DTYPES: dict[FloatType, str] = {"float32": ">f4", "float64": ">f8"}


class ModbusPlayer(Player):
    """Serves a recording behind one endpoint, unit 1; float_type: how its values stand in the registers."""

    protocol, report_mode = "modbus", "polled"

    def __init__(self, recording: Recording, host: str, port: int, float_type: FloatType = "float64") -> None:
        super().__init__(recording)
        self._host, self._port, self._float_type = host, port, float_type
        self._dtype = _DTYPES[float_type]
        self._image = Image(_SPAN)
        said = identity(recording)
        self._image.words[Table.HOLDING, IDENTITY_REGISTER:_SPAN] = said.block()
        self.endpoint = Endpoint(0, host, port, {1: ImageUnit(self._image, 0, _SPAN, said.objects())})

    async def open(self) -> None:
        """Listen, the first row in the registers."""
        await self.show(0)
        await self.endpoint.open()

    async def close(self) -> None:
        """Close the port and every connection."""
        await self.endpoint.close()

    async def show(self, row: int) -> None:
        """Let the registers hold this row."""
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there, as in any such device
            values = self.recording.rows[row].astype(self._dtype)
        words = np.frombuffer((row + 1).to_bytes(4, "big") + values.tobytes(), ">u2")
        self._image.words[Table.HOLDING, : len(words)] = words

    def connection(self) -> dict[str, Any]:
        """Return host, port and where the identity stands."""
        return {
            "transport": "tcp",
            "host": self._host,
            "port": self._port,
            "unit": 1,
            "identity": {"kind": "sunspec", "register": IDENTITY_REGISTER},
        }

    def tag(self, name: str, at: int) -> dict[str, Any]:
        """Return the registers of a column."""
        if at < 0:
            return {"type": "uint32", "address": {"table": "holding", "register": 0}}
        width = np.dtype(self._dtype).itemsize // 2
        register = ROW_REGISTERS + width * at
        return {"type": self._float_type, "address": {"table": "holding", "register": register}}
