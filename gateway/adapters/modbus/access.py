"""Reading now and writing: for spot checks, idle machines and reverse control.

Every value comes from a request of its own, never from what a poll left behind. A write is confirmed by what reads
back, not by the device's echo.
"""

from gateway.adapter import Found, Value
from gateway.adapters.modbus import pdu
from gateway.adapters.modbus.blocks import Block, plan
from gateway.adapters.modbus.config import BIT_TABLES, Place, SunSpecIdentity, Understood
from gateway.adapters.modbus.decode import Decoder, raw_of
from gateway.adapters.modbus.encode import encode, encode_bit, is_bit
from gateway.adapters.modbus.line import Line, ask
from gateway.adapters.modbus.pdu import Refused, Violation
from gateway.checks import writable
from muster.clock import Clock
from muster.errors import RequestError, Unavailable
from muster.quality import Quality

_LAST_MODEL = 0xFFFF
_MOST_MODELS = 200


async def read_now(line: Line, understood: Understood, positions: list[int], clock: Clock) -> list[Value]:
    """Read tags afresh, in the order of their positions.

    Raises:
        RequestError: the device has no such tag.
        Unavailable: it does not answer, or what it says is no answer.
    """
    known = {place.tag.position: place for place in understood.places}
    unknown = [position for position in positions if position not in known]
    if unknown:
        raise RequestError(f"tag positions {unknown}: not of this device", status=404, code="unknown-tag")
    places = [known[position] for position in sorted(set(positions))]
    connection = understood.connection
    start = connection.window.start if connection.window else 0
    values: list[Value] = []
    for block in plan(places, connection.limits, start):
        request = pdu.read(connection.unit, block.table, block.start, block.count)
        try:
            answer = await ask(line, request, _timeout_s(understood))
        except Refused as refused:
            if refused.code in pdu.GATEWAY_EXCEPTIONS:
                raise Unavailable(refused.reason) from refused
            now_us = clock.now_us()
            values += [Value(p.tag.position, None, Quality.REFUSED, now_us, now_us) for p in block.places]
            continue
        except Violation as error:
            raise Unavailable(str(error)) from error
        values += _values(block, answer, clock.now_us())
    return sorted(values, key=lambda value: value.position)


async def write_now(
    line: Line, understood: Understood, position: int, value: float | str, clock: Clock
) -> Value:
    """Write one tag and return what reads back.

    Raises:
        RequestError: the tag is unknown or not writable, or the value is outside its limits or type.
        Unavailable: the device refused, did not confirm, or reads back nothing.
    """
    tag = writable([place.tag for place in understood.places], position)
    place = next(place for place in understood.places if place.tag is tag)
    try:
        async with line.writing:
            await _write(line, understood, place, value)
    except (Refused, Violation) as error:
        raise Unavailable(f"{place.tag.name}: {error}") from error
    (back,) = await read_now(line, understood, [position], clock)
    return back


async def browse_now(line: Line, understood: Understood) -> list[Found]:
    """Walk the chain of a SunSpec device's models (SunSpec Device Information Model, 6.1).

    Raises:
        RequestError: the device is not said to be a SunSpec one, or is none.
        Unavailable: it does not answer.
    """
    identity = understood.connection.identity
    if not isinstance(identity, SunSpecIdentity):
        raise RequestError(
            "Modbus equipment does not say which registers it has; see its manual",
            status=422,
            code="cannot-browse",
        )
    unit, timeout_s = understood.connection.unit, _timeout_s(understood)
    found: list[Found] = []
    try:
        register = identity.register_
        if await ask(line, pdu.read(unit, "holding", register, 2), timeout_s) != b"SunS":
            raise RequestError(f"no SunSpec marker at register {register}", status=422, code="cannot-browse")
        register += 2
        while len(found) < _MOST_MODELS and register < 65535:
            head = await ask(line, pdu.read(unit, "holding", register, 2), timeout_s)
            model, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
            if model == _LAST_MODEL:
                break
            found.append(
                Found(
                    path=f"SunSpec/{model}",
                    name=f"SunSpec {model}",
                    type="uint16",
                    address={"register": register},
                    value=float(length),
                )
            )
            register += 2 + length
    except Refused:
        pass  # the chain ends where the device has no more registers
    except Violation as error:
        raise Unavailable(str(error)) from error
    return found


def _timeout_s(understood: Understood) -> float:
    return understood.connection.timeout_ms / 1000


async def _write(line: Line, understood: Understood, place: Place, value: float | str) -> None:
    unit, timeout_s = understood.connection.unit, _timeout_s(understood)
    if place.address.table in BIT_TABLES:
        on = encode_bit(place, value)
        await _either(
            line, pdu.write_coil(unit, place.start, on), pdu.write_coils(unit, place.start, [on]), timeout_s
        )
    elif is_bit(place):
        await _write_bit(line, unit, place, encode_bit(place, value), timeout_s)
    else:
        registers = encode(place, value)
        several = pdu.write_registers(unit, place.start, registers)
        if place.width == 1:
            await _either(line, pdu.write_register(unit, place.start, registers), several, timeout_s)
        else:
            await ask(line, several, timeout_s)


async def _write_bit(line: Line, unit: int, place: Place, on: bool, timeout_s: float) -> None:
    """Change one bit in the device (function 22), or read, change and write where it does not know how."""
    assert place.address.bit is not None
    bit = place.address.bit if place.address.byte_order == "big" else (place.address.bit + 8) % 16
    mask = 1 << bit
    try:
        await ask(line, pdu.mask_write(unit, place.start, 0xFFFF & ~mask, mask if on else 0), timeout_s)
        return
    except Refused as refused:
        if refused.code != pdu.ILLEGAL_FUNCTION:
            raise
    old = int.from_bytes(await ask(line, pdu.read(unit, "holding", place.start, 1), timeout_s), "big")
    new = old | mask if on else old & ~mask
    await ask(line, pdu.write_register(unit, place.start, new.to_bytes(2, "big")), timeout_s)


async def _either(line: Line, first: pdu.Request, other: pdu.Request, timeout_s: float) -> None:
    """Write by the first request, or by the other where the device does not know the first's function."""
    try:
        await ask(line, first, timeout_s)
    except Refused as refused:
        if refused.code != pdu.ILLEGAL_FUNCTION:
            raise
        await ask(line, other, timeout_s)


def _values(block: Block, answer: bytes, now_us: int) -> list[Value]:
    decoder = Decoder([block])
    decoded = decoder.decode(answer)
    texts = {text.position: text for text in decoded.texts}
    values = []
    for place in block.places:
        position = place.tag.position
        raw = raw_of(place, block, answer).hex()
        if position in texts:
            text = texts[position]
            values.append(Value(position, text.value, text.quality, now_us, now_us, raw))
            continue
        at = position - decoder.first
        quality = int(decoded.quality[at]) if decoded.quality is not None else Quality.GOOD
        number = float(decoded.value[at]) if quality == Quality.GOOD else None
        values.append(Value(position, number, quality, now_us, now_us, raw))
    return values
