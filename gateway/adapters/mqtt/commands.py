"""Writing by topic: publish, and wait for the device's own word or for the tag with its new value."""

import asyncio
import itertools
import json

from gateway.adapter import Value
from gateway.adapters.mqtt.broker import BrokerSession, Message
from gateway.adapters.mqtt.config import TAG, Command
from gateway.adapters.mqtt.mapping import Mapping, compile_path
from gateway.adapters.mqtt.station import Station
from gateway.adapters.mqtt.topics import matches
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
    tag = next(one for one in station.device.tags if one.position == position)
    command = station.understood.commands.get(position)
    if command is None:
        raise RequestError(f"tag {tag.name} is not writable", status=403, code="not-writable")
    raw = _raw(tag, value)
    number = next(_ids)
    filled = {"{value}": json.dumps(raw, ensure_ascii=False), TAG: tag.name, "{id}": str(number)}
    text = command.payload
    for mark, content in filled.items():
        text = text.replace(mark, content)
    confirmed = asyncio.get_running_loop().create_future()

    def answered(message: Message) -> None:
        if command.response_topic and matches(command.response_topic, message.topic) and not confirmed.done():
            verdict = _verdict(command, message, number)
            if verdict is not None:
                confirmed.set_result(verdict)

    def came(values: list[Value]) -> None:
        for one in values:
            if one.position == position and not confirmed.done() and _same(one.value, value, tag):
                confirmed.set_result(one)

    if command.response_topic is None:
        station.watchers.append(came)
    else:
        station.listeners.append(answered)
    try:
        session.publish(command.topic, text.encode("utf-8"), min(command.qos, 1), command.retain)
        async with asyncio.timeout(command.timeout_ms / 1000):
            outcome: Value | bool = await confirmed
    except TimeoutError as error:
        raise Unavailable(f"the device did not confirm within {command.timeout_ms} ms") from error
    finally:
        if command.response_topic is None:
            station.watchers.remove(came)
        else:
            station.listeners.remove(answered)
    if isinstance(outcome, Value):
        return outcome
    if not outcome:
        raise RequestError(f"the device refused to write {tag.name}", status=409, code="device-refused")
    now_us = clock.now_us()
    return Value(position, value, int(Quality.GOOD), now_us, now_us)


def _raw(tag: Tag, value: float | str) -> bool | float | str:
    """Return what stands in the payload for an engineering value."""
    if tag.type == "string":
        return str(value)
    if isinstance(value, str):
        raise RequestError(f"tag {tag.name} takes a number, not {value!r}", code="wrong-type")
    if (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high):
        raise RequestError(f"tag {tag.name}: {value} is outside its limits", code="outside-limits")
    if tag.type == "bool":
        if value not in (0, 1):
            raise RequestError(f"tag {tag.name} takes 0 or 1, not {value}", code="wrong-type")
        return bool(value)
    raw = (value - tag.offset) / tag.scale
    if tag.type.startswith(("int", "uint")):
        return round(raw)
    return raw


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


def _same(read: float | str | None, written: float | str, tag: Tag) -> bool:
    if isinstance(read, str) or isinstance(written, str) or read is None:
        return str(read) == str(written)
    step = abs(tag.scale) if tag.type.startswith(("int", "uint")) else 1e-6 * max(1.0, abs(written))
    return abs(read - written) <= step / 2 + 1e-12
