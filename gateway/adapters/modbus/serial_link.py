"""A serial line as a link: its descriptor is watched by the event loop, no thread waits.

Frames on a serial line have no numbers, and the line is shared by all: before each request the standard's 3.5
characters of silence are kept (Modbus over Serial Line V1.02, 2.5.1.1), what comes when nothing is awaited is thrown
away, and after bytes that were no frame, or a reply that did not come, the line is left quiet for longer, so that the
rest of what went wrong is not taken for the next reply.
"""

import asyncio
import os

import serial

from gateway.adapters.modbus.config import Serial
from gateway.adapters.modbus.link import Listener, RtuFrames
from gateway.adapters.modbus.pdu import Request, Silence

_BUFFER = 4096
_PARITIES = {"none": "N", "even": "E", "odd": "O"}
_CHARACTER_BITS = 11
_FIXED_SILENCE_S = 0.00175  # above 19200 baud
_RECOVERY_S = 0.05


class SerialLink:
    """An open serial port."""

    def __init__(self, port: serial.Serial, baud_rate: int, listener: Listener) -> None:
        self.ended = ""
        self._port = port
        self._listener = listener
        self._frames = RtuFrames(listener)
        self._begun = b""
        self._silence_s = _FIXED_SILENCE_S if baud_rate > 19200 else 3.5 * _CHARACTER_BITS / baud_rate
        self._quiet_until = 0.0
        self._sending: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._descriptor: int = port.fileno()
        self._loop.add_reader(self._descriptor, self._readable)

    def send(self, request: Request) -> float:
        pause_s = max(0.0, self._quiet_until - self._loop.time())
        if pause_s:
            self._sending = self._loop.call_later(pause_s, self._write, request)
        else:
            self._write(request)
        return pause_s

    def forget(self) -> int:
        if self._sending is not None:
            self._sending.cancel()
        self._frames.forget()
        self._quiet_until = self._loop.time() + _RECOVERY_S
        return len(self._begun)

    def resynchronise(self) -> bool:
        self._begun = b""
        self._quiet_until = self._loop.time() + _RECOVERY_S
        return True

    def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        if self._port.is_open:
            self._loop.remove_reader(self._descriptor)
            self._port.close()

    def _write(self, request: Request) -> None:
        self._sending = None
        self._begun = b""
        try:
            self._port.reset_input_buffer()
            self._frames.expect(request)
            self._port.write(request.rtu)
        except OSError:  # serial.SerialException is one
            self._end()

    def _readable(self) -> None:
        try:
            came = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            self._end()
            return
        self._quiet_until = max(self._quiet_until, self._loop.time() + self._silence_s)
        self._begun += came
        while self._begun and (used := self._frames.take(self._begun)):
            self._begun = self._begun[used:]

    def _end(self) -> None:
        self.close()
        self.ended = "modbus.connection-lost"
        self._listener.lost(self.ended)


def open_serial(line: Serial, listener: Listener) -> SerialLink:
    """Open a serial port for this process alone. Raises Silence when it cannot be used now."""
    try:
        port = serial.Serial(
            line.port,
            line.baud_rate,
            parity=_PARITIES[line.parity],
            stopbits=line.stop_bits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError) as error:
        raise Silence("modbus.serial-unusable", {"problem": str(error)}) from error
    return SerialLink(port, line.baud_rate, listener)
