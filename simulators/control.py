"""Faults on demand: one JSON object a line over a loopback connection, opened by a shared secret.

    {"token": …, "do": "fault", "kind": "half-open", "device": "P-001", "for_s": 60}   → {"devices": ["P-001"]}
    {"token": …, "do": "restore", "endpoint": 3}                                       → {"devices": […]}
    {"token": …, "do": "faults"}                                                       → {"faults": […]}

Without a device and an endpoint (its number or its port), everything is meant. What goes wrong is answered by
{"error": {"code", "message"}}. Server side for the simulators' process, client side for the command line.
"""

import asyncio
import hmac
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from muster.errors import ConfigError, MusterError, RequestError, Unavailable
from simulators.faults import Fault, FaultKind

if TYPE_CHECKING:  # whoever only gives orders need not load the machines
    from simulators.fleet.fleet import Fleet

_LONGEST_LINE = 65_536
_LONGEST_S = 366 * 86400.0
_ANSWER_WITHIN_S = 10.0


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants of the fleet. for_s: lifted after so many seconds; delay_s: of slow answers."""

    token: str
    do: Literal["fault", "restore", "faults"]
    kind: FaultKind | None = None
    device: str | None = None
    endpoint: int | None = None
    for_s: float | None = None
    delay_s: float | None = None


_decode = msgspec.json.Decoder(Order).decode
_encode = msgspec.json.Encoder().encode


@asynccontextmanager
async def serve(fleet: "Fleet", port: int, token: str) -> AsyncIterator[None]:
    """Take orders for `fleet` while the block runs.

    Raises:
        ConfigError: the port is taken.
    """
    callers: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.add(writer)
        try:
            async for line in reader:
                writer.write(_encode(await _answer(fleet, token, line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # the caller has gone, or its line is longer than any order
        finally:
            callers.discard(writer)
            writer.close()

    try:
        server = await asyncio.start_server(talk, "127.0.0.1", port, limit=_LONGEST_LINE)
    except OSError as error:
        raise ConfigError(f"control_port {port}: {error.strerror}") from error
    async with server:
        try:
            yield
        finally:
            for writer in callers:
                writer.transport.abort()


async def _answer(fleet: "Fleet", token: str, line: bytes) -> dict[str, Any]:
    try:
        wanted = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _error("simulator-bad-order", str(error))
    if not hmac.compare_digest(wanted.token.encode(), token.encode()):
        return _error("simulator-wrong-token", "the token is wrong")
    try:
        return await _obey(fleet, wanted)
    except RequestError as error:
        return _error(error.code, str(error))
    except MusterError as error:
        return _error("simulator-failed", str(error))


async def _obey(fleet: "Fleet", wanted: Order) -> dict[str, Any]:
    if wanted.device is not None and wanted.endpoint is not None:
        raise RequestError("a device or an endpoint, not both", code="simulator-bad-order")
    if wanted.do == "faults":
        return {"faults": fleet.faults.in_force()}
    if wanted.do == "restore":
        return {"devices": await fleet.faults.lift(device=wanted.device, endpoint=wanted.endpoint)}
    if wanted.kind is None:
        raise RequestError("kind: which fault?", code="simulator-bad-order")
    for name, seconds in (("for_s", wanted.for_s), ("delay_s", wanted.delay_s)):
        if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= _LONGEST_S):
            raise RequestError(f"{name}: {seconds} is no number of seconds", code="simulator-bad-order")
    fault = Fault(wanted.kind) if wanted.delay_s is None else Fault(wanted.kind, wanted.delay_s)
    return {
        "devices": await fleet.faults.put(
            fault, device=wanted.device, endpoint=wanted.endpoint, for_s=wanted.for_s
        )
    }


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def order(port: int, token: str, what: dict[str, Any]) -> dict[str, Any]:
    """Give one order to the simulators on this machine and return their answer.

    Raises:
        Unavailable: no simulators answer. RequestError: they refuse, saying why.
    """
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
            try:
                writer.write(_encode({**what, "token": token}) + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"simulators on port {port}: {error or 'no answer'}") from error
    try:
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Unavailable(f"simulators on port {port}: no answer that can be read") from error
    if "error" in answer:
        said = answer["error"]
        status = 404 if said["code"].startswith("simulator-unknown") else 400
        raise RequestError(said["message"], status=status, code=said["code"])
    return answer
