"""Writing: a command with the metric, confirmed when the device sends that metric with the value written."""

import asyncio

from gateway.adapter import Value
from gateway.adapters.mqtt.awaiting import read_back
from gateway.adapters.sparkplug.hub import Hub
from gateway.adapters.sparkplug.station import Station
from gateway.checks import raw_to_write, writable
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
    tag = writable(station.device.tags, position)
    name = next(
        name
        for name, places in station.understood.places.items()
        if any(place.tag is tag for place in places)
    )
    connection = station.understood.connection
    known = hub.nodes[connection.node].metric(station.scope, name)
    if known is None:
        raise Unavailable(f"no birth named {name}: it is not known now how to command it")
    by_alias = known.alias is not None and connection.command_by == "alias"
    metric = Metric("" if by_alias else name, known.alias if by_alias else None, known.datatype)
    metric.timestamp_ms = clock.now_us() // 1000
    try:
        metric.value = _raw(tag, known.datatype, value)
        payload = encode(Payload(metric.timestamp_ms, [metric]))
    except (Rejected, OverflowError) as error:
        raise RequestError(f"{tag.name}: {error}", code="wrong-type") from error
    try:
        with read_back(station.watchers, tag, value) as back:
            hub.session.publish(connection.node.command(station.scope), payload)
            async with asyncio.timeout(connection.timeout_ms / 1000):
                return await back
    except TimeoutError as error:
        raise Unavailable(
            f"the device did not send {name} = {value} within {connection.timeout_ms} ms"
        ) from error


def _raw(tag: Tag, datatype: DataType, value: float | str) -> bool | float | str:
    """Return what stands in the command for an engineering value."""
    if datatype in _TEXTS:
        return str(value)
    raw = raw_to_write(tag, value)
    if datatype is DataType.BOOLEAN:
        if raw not in (0, 1):
            raise RequestError(f"{tag.name}: takes 0 or 1, not {value}", code="wrong-type")
        return bool(raw)
    if datatype is DataType.DATETIME:
        return round(raw * 1000)
    if datatype in _WHOLE:
        return round(raw)
    if datatype in (DataType.FLOAT, DataType.DOUBLE):
        return raw
    raise RequestError(f"{tag.name}: a {datatype.name} cannot be written", code="wrong-type")
