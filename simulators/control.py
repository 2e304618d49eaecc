"""Faults on demand: one JSON object a line over a loopback connection, opened by a shared secret.

Server side for the simulators' process, client side for the command line.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from muster.errors import ConfigError, MusterError, RequestError, Unavailable
from simulators.faults import Fault, FaultKind
from simulators.fleet.fleet import Fleet

_LONGEST_LINE = 65_536
_SLOW_S = 5.0


@asynccontextmanager
async def serve(fleet: Fleet, port: int, token: str) -> AsyncIterator[None]:
    """Take orders for `fleet` while the block runs.

    Raises:
        ConfigError: the port is taken.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                writer.write(json.dumps(await _answer(fleet, token, line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(talk, "127.0.0.1", port, limit=_LONGEST_LINE)
    except OSError as error:
        raise ConfigError(f"control_port {port}: {error.strerror}") from error
    async with server:
        yield


async def _answer(fleet: Fleet, token: str, line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        if not isinstance(order, dict) or not hmac.compare_digest(str(order.pop("token", "")), token):
            return {"error": "the token is wrong"}
        return await _obey(fleet, order)
    except json.JSONDecodeError as error:
        return {"error": str(error)}
    except MusterError as error:
        return {"error": str(error)}


async def _obey(fleet: Fleet, order: dict[str, Any]) -> dict[str, Any]:
    device, endpoint = order.get("device"), order.get("endpoint")
    match order.get("do"):
        case "faults":
            return {"faults": fleet.faults.in_force()}
        case "restore":
            return {"devices": await fleet.faults.lift(device=device, endpoint=endpoint)}
        case "fault":
            fault = _fault(order)
            return {
                "devices": await fleet.faults.put(
                    fault, device=device, endpoint=endpoint, for_s=order.get("for_s")
                )
            }
        case other:
            raise RequestError(f"{other!r}: none of fault, restore, faults")


def _fault(order: dict[str, Any]) -> Fault:
    try:
        return Fault(FaultKind(order.get("kind", "")), float(order.get("delay_s") or _SLOW_S))
    except ValueError as error:
        raise RequestError(f"kind: {error}") from error


async def order(port: int, token: str, what: dict[str, Any]) -> dict[str, Any]:
    """Give one order to the simulators on this machine and return their answer.

    Raises:
        Unavailable: no simulators answer. RequestError: they refuse, saying why.
    """
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(json.dumps({**what, "token": token}).encode() + b"\n")
            line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"simulators on port {port}: {error or 'no answer'}") from error
    answer: dict[str, Any] = json.loads(line or b'{"error": "no answer"}')
    if "error" in answer:
        raise RequestError(answer["error"])
    return answer
