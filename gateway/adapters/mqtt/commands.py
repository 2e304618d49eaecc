"""Writing by topic: publish, and wait for the device's own word or for the tag with its new value."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gateway.adapter import Value
from gateway.adapters.mqtt.awaiting import read_back
from gateway.adapters.mqtt.broker import BrokerSession, Message
from gateway.adapters.mqtt.config import TAG, Command
from gateway.adapters.mqtt.mapping import Mapping
from gateway.adapters.mqtt.paths import compile_path
from gateway.adapters.mqtt.station import Station
from gateway.adapters.mqtt.topics import matches
from gateway.checks import raw_to_write, writable
from muster.clock import Clock
from muster.device import Tag
from muster.errors import Rejected, RequestError, Unavailable
from muster.quality import Quality

_ids = itertools.count(1)
_READER = Mapping([])


async def write(
    session: BrokerSession, station: Station, position: int, value: float | str, clock: Clock
) -> Value:
    """Write one tag; return what read back, or what the device confirmed.

    Raises:
        RequestError: the tag is not writable, the value is none of its type or outside its limits, or it was refused.
        Unavailable: the broker is away, or the device did not confirm.
    """
    tag = writable(station.device.tags, position)
    command = station.understood.commands[position]
    raw = _raw(tag, value)
    number = next(_ids)
    filled = {"{value}": json.dumps(raw, ensure_ascii=False), TAG: tag.name, "{id}": str(number)}
    text = command.payload
    for mark, content in filled.items():
        text = text.replace(mark, content)
    try:
        with ExitStack() as waiting:
            if command.response_topic is None:
                back = waiting.enter_context(read_back(station.watchers, tag, value))
            else:
                verdict = waiting.enter_context(_answer(station, command, number))
            session.publish(command.topic, text.encode("utf-8"), min(command.qos, 1), command.retain)
            async with asyncio.timeout(command.timeout_ms / 1000):
                if command.response_topic is None:
                    return await back
                accepted = await verdict
    except TimeoutError as error:
        raise Unavailable(f"the device did not confirm within {command.timeout_ms} ms") from error
    if not accepted:
        raise RequestError(f"the device refused to write {tag.name}", status=409, code="device-refused")
    now_us = clock.now_us()
    return Value(position, value, int(Quality.GOOD), now_us, now_us)


@contextmanager
def _answer(station: Station, command: Command, number: int) -> Iterator["asyncio.Future[bool]"]:
    """Give what becomes the device's verdict once it comes on the response topic."""
    answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def came(message: Message) -> None:
        if command.response_topic and matches(command.response_topic, message.topic) and not answered.done():
            verdict = _verdict(command, message, number)
            if verdict is not None:
                answered.set_result(verdict)

    station.listeners.append(came)
    try:
        yield answered
    finally:
        station.listeners.remove(came)


def _raw(tag: Tag, value: float | str) -> bool | float | str:
    """Return what stands in the payload for an engineering value."""
    if tag.type == "string":
        return str(value)
    raw = raw_to_write(tag, value)
    if tag.type == "bool":
        return bool(raw)
    return round(raw) if tag.type.startswith(("int", "uint")) else raw


def _verdict(command: Command, message: Message, number: int) -> bool | None:
    """Return whether an answer confirms; None when it answers something else."""
    if message.retain:
        return None
    if command.response_path is None:
        return True
    try:
        document = _READER.read(message.payload).document
    except Rejected:
        return None
    found = compile_path(command.response_path, "response_path").one(document)
    if "{id}" in command.payload and not isinstance(found, bool) and isinstance(found, int | str):
        return True if str(found) == str(number) else None
    return str(found).lower() in ("true", "ok", "1", "success")
