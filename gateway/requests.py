"""The request server: read, write, browse and diagnostics over the bus, for one gateway's devices."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from nats.aio.client import Client

from bus import subjects
from bus.connection import answer
from gateway.share import Share
from gateway.supervisor import Supervisor
from muster.errors import ConfigError, MusterError, RequestError, Unavailable

_log = structlog.get_logger()

MOST_AT_ONCE = 64
LONGEST_S = 30.0

_Asked = TypeVar("_Asked", bound=msgspec.Struct)
Status = Callable[[], dict[str, Any]]


class _Read(msgspec.Struct, forbid_unknown_fields=True):
    device: int
    positions: list[int] | None = None


class _Write(msgspec.Struct, forbid_unknown_fields=True):
    device: int
    position: int
    value: bool | float | str


class _Browse(msgspec.Struct, forbid_unknown_fields=True):
    device: int
    search: str = ""


class _Discover(msgspec.Struct, forbid_unknown_fields=True):
    protocol: str
    connection: dict[str, Any]
    search: str = ""
    wait_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S - 5)] = 5.0


class _Certificates(msgspec.Struct, forbid_unknown_fields=True):
    protocol: str


class _Decide(msgspec.Struct, forbid_unknown_fields=True):
    protocol: str
    thumbprint: str
    trust: bool


class _Diagnose(msgspec.Struct, forbid_unknown_fields=True):
    device: int | None = None


class _Release(msgspec.Struct, forbid_unknown_fields=True):
    devices: list[int]


class Requests:
    """Answers for one gateway. A device that is slow to answer holds up nobody else's request."""

    def __init__(self, gateway: int, supervisor: Supervisor, share: Share, status: Status) -> None:
        """status: what the gateway says of itself beside its devices."""
        self.answered = 0
        self._gateway = gateway
        self._supervisor = supervisor
        self._share = share
        self._status = status
        self._at_once = 0

    async def serve(self, client: Client) -> None:
        """Answer requests for as long as the connection lives."""
        for verb, respond in {
            "read": self.read,
            "write": self.write,
            "browse": self.browse,
            "discover": self.discover,
            "certificates": self.certificates,
            "decide": self.decide,
            "diagnostics": self.diagnostics,
            "release": self.release,
        }.items():
            await answer(client, subjects.request(self._gateway, verb), self._guarded(respond))

    async def read(self, question: dict[str, Any]) -> dict[str, Any]:
        """Read some or all tags of a device now, bypassing every cache."""
        asked = _convert(question, _Read)
        room, device = self._supervisor.room(asked.device)
        known = [tag.position for tag in device.tags]
        positions = known if asked.positions is None else asked.positions
        if unknown := set(positions) - set(known):
            raise RequestError(
                f"device {asked.device} has no tag at {sorted(unknown)}", status=404, code="unknown-tag"
            )
        return {"values": [asdict(value) for value in await room.read(asked.device, positions)]}

    async def write(self, question: dict[str, Any]) -> dict[str, Any]:
        """Write one tag and return what reads back."""
        asked = _convert(question, _Write)
        room, device = self._supervisor.room(asked.device)
        if asked.position not in {tag.position for tag in device.tags}:
            raise RequestError(
                f"device {asked.device} has no tag at {asked.position}", status=404, code="unknown-tag"
            )
        value = asked.value if isinstance(asked.value, str) else float(asked.value)
        return {"value": asdict(await room.write(asked.device, asked.position, value))}

    async def browse(self, question: dict[str, Any]) -> dict[str, Any]:
        """Discover what a device offers."""
        asked = _convert(question, _Browse)
        room, _ = self._supervisor.room(asked.device)
        return {"found": [asdict(one) for one in await room.browse(asked.device, asked.search)]}

    async def discover(self, question: dict[str, Any]) -> dict[str, Any]:
        """Discover what equipment that is in no device book offers."""
        asked = _convert(question, _Discover)
        room = await self._supervisor.room_of(asked.protocol)
        found = await room.discover(asked.connection, asked.search, asked.wait_s)
        return {"found": [asdict(one) for one in found]}

    async def certificates(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the certificates that equipment of one protocol showed."""
        room = await self._supervisor.room_of(_convert(question, _Certificates).protocol)
        return {"certificates": [asdict(one) for one in room.certificates()]}

    async def decide(self, question: dict[str, Any]) -> dict[str, Any]:
        """Trust or refuse a certificate."""
        asked = _convert(question, _Decide)
        room = await self._supervisor.room_of(asked.protocol)
        return {"certificate": asdict(room.decide(asked.thumbprint, asked.trust))}

    async def release(self, question: dict[str, Any]) -> dict[str, Any]:
        """Stop watching devices that another process of this site is to have; answered once they are stopped."""
        asked = _convert(question, _Release)
        await self._share.release(asked.devices)
        return {"released": sorted(self._share.released())}

    async def diagnostics(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return one device's counters, or the gateway's state with a line for every device."""
        asked = _convert(question, _Diagnose)
        if asked.device is not None:
            room, device = self._supervisor.room(asked.device)
            told = asdict(room.diagnostics(asked.device))
            return {"device": {"device": asked.device, "protocol": device.protocol, **told}}
        lines: list[dict[str, Any]] = []
        for number in sorted(self._supervisor.devices):
            try:
                room, device = self._supervisor.room(number)
                counters = room.diagnostics(number)
            except (Unavailable, RequestError, KeyError):
                continue
            lines.append(
                {
                    "device": number,
                    "protocol": device.protocol,
                    "session": counters.session,
                    "polls": counters.polls,
                    "answers": counters.answers,
                    "last_good": counters.last_good,
                    "last_error": counters.last_error,
                }
            )
            if len(lines) % 100 == 0:
                await asyncio.sleep(0)
        return {"gateway": self._status(), "devices": lines}

    def _guarded(
        self, respond: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
        async def guarded(question: dict[str, Any]) -> dict[str, Any]:
            if self._at_once >= MOST_AT_ONCE:
                raise RequestError("too many requests at once", status=429, code="busy")
            self._at_once += 1
            try:
                async with asyncio.timeout(LONGEST_S):
                    return await respond(question)
            except ConfigError as error:
                raise RequestError(str(error), status=422, code="not-valid") from error
            except MusterError:
                raise
            except TimeoutError as error:
                raise Unavailable(f"no answer within {LONGEST_S:g} s") from error
            except KeyError as error:
                raise RequestError(f"not watched: {error}", status=404, code="unknown-device") from error
            except Exception as error:  # a supervisor: a room's defect must not end the server
                _log.exception("request-failed")
                raise RequestError("the room failed", status=500, code="room-failed") from error
            finally:
                self._at_once -= 1
                self.answered += 1

        return guarded


def _convert(question: dict[str, Any], kind: type[_Asked]) -> _Asked:
    try:
        return msgspec.convert(question, kind)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from error
