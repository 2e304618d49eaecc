"""Writing: a command with the metric, confirmed when the device sends that metric with the value written."""

import asyncio

from gateway.adapter import Value
from gateway.adapters.sparkplug.hub import Hub
from gateway.adapters.sparkplug.station import Station
from muster.clock import Clock
from muster.device import Tag
from muster.errors import Rejected, RequestError, Unavailable
from muster.sparkplug import DataType, Metric, Payload, encode

_TEXTS = (DataType.STRING, DataType.TEXT, DataType.UUID)
_WHOLE = frozenset(
    {
        DataType.INT8,
        DataType.INT16,
        DataType.INT32,
        DataType.INT64,
        DataType.UINT8,
        DataType.UINT16,
        DataType.UINT32,
        DataType.UINT64,
    }
)


async def write(hub: Hub, station: Station, position: int, value: float | str, clock: Clock) -> Value:
    """Write one tag; return what read back.

    Raises:
        RequestError: the tag is not writable, or the value is none of its type or outside its limits.
        Unavailable: the broker or the birth is away, or the device did not send the value within the time.
    """
    name, tag = next(
        (name, place.tag)
        for name, places in station.understood.places.items()
        for place in places
        if place.tag.position == position
    )
    if not tag.writable:
        raise RequestError(f"tag {tag.name} is not writable", status=403, code="not-writable")
    connection = station.understood.connection
    known = hub.nodes[connection.node].metric(station.scope, name)
    if known is None:
        raise Unavailable(f"no birth named {name}: it is not known now how to command it")
    raw = _raw(tag, known.datatype, value)
    by_alias = known.alias is not None and connection.command_by == "alias"
    metric = Metric("" if by_alias else name, known.alias if by_alias else None, known.datatype, raw)
    metric.timestamp_ms = clock.now_us() // 1000
    try:
        payload = encode(Payload(metric.timestamp_ms, [metric]))
    except Rejected as error:
        raise RequestError(f"tag {tag.name}: {error}", code="wrong-type") from error
    confirmed: asyncio.Future[Value] = asyncio.get_running_loop().create_future()

    def came(values: list[Value]) -> None:
        for one in values:
            if one.position == position and not confirmed.done() and _same(one.value, value, tag):
                confirmed.set_result(one)

    station.watchers.append(came)
    try:
        hub.session.publish(connection.node.command(station.scope), payload)
        async with asyncio.timeout(connection.timeout_ms / 1000):
            return await confirmed
    except TimeoutError as error:
        raise Unavailable(
            f"the device did not send {name} = {value} within {connection.timeout_ms} ms"
        ) from error
    finally:
        station.watchers.remove(came)


def _raw(tag: Tag, datatype: DataType, value: float | str) -> bool | float | str:
    """Return what stands in the command for an engineering value."""
    if datatype in _TEXTS:
        return str(value)
    if isinstance(value, str):
        raise RequestError(f"tag {tag.name} takes a number, not {value!r}", code="wrong-type")
    if (tag.low is not None and value < tag.low) or (tag.high is not None and value > tag.high):
        raise RequestError(f"tag {tag.name}: {value} is outside its limits", code="outside-limits")
    if datatype is DataType.BOOLEAN:
        if value not in (0, 1):
            raise RequestError(f"tag {tag.name} takes 0 or 1, not {value}", code="wrong-type")
        return bool(value)
    if datatype is DataType.DATETIME:
        return round(value * 1000)
    raw = (value - tag.offset) / tag.scale
    if datatype in _WHOLE:
        return round(raw)
    if datatype in (DataType.FLOAT, DataType.DOUBLE):
        return raw
    raise RequestError(f"tag {tag.name}: a {datatype.name} cannot be written", code="wrong-type")


def _same(read: float | str | None, written: float | str, tag: Tag) -> bool:
    if isinstance(read, str) or isinstance(written, str) or read is None:
        return str(read) == str(written)
    step = abs(tag.scale) if tag.type.startswith(("int", "uint")) else 1e-6 * max(1.0, abs(written))
    return abs(read - written) <= step / 2 + 1e-12
