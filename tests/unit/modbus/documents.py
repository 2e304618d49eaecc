"""Tags, devices and answers for the tests of the Modbus room, written as short as they can be read."""

import struct
from typing import Any

from gateway.adapters.modbus.blocks import Block, plan
from gateway.adapters.modbus.config import Understood, understand
from gateway.adapters.modbus.decode import Decoded, Decoder
from muster.device import Device, ReportMode, Tag

OWN = ("scale", "offset", "writable", "low", "high")


def tag(position: int, kind: str, **address: Any) -> Tag:
    """Return a tag; keywords that are no part of an address go to the tag."""
    own = {key: address.pop(key) for key in OWN if key in address}
    return Tag(position=position, name=f"t{position}", type=kind, address=address, **own)


def device(*tags: Tag, interval_s: float = 1.0, **connection: Any) -> Device:
    """Return a device on TCP, or as `connection` says."""
    if connection.get("transport") != "rtu":
        connection.setdefault("host", "10.0.0.1")
    return Device(
        number=1,
        version=1,
        code="D-1",
        name="1号设备",
        enterprise=1,
        protocol="modbus",
        connection=connection,
        report_mode=ReportMode.POLLED,
        interval_s=interval_s,
        tags=list(tags),
    )


def understood(*tags: Tag, **connection: Any) -> Understood:
    """Return what such a device's document means."""
    return understand(device(*tags, **connection))


def blocks_of(*tags: Tag, **connection: Any) -> list[Block]:
    """Return how such a device is read."""
    one = understood(*tags, **connection)
    start = one.connection.window.start if one.connection.window else 0
    return plan(one.places, one.connection.limits, start)


def decoded(registers: dict[int, bytes], *tags: Tag, **connection: Any) -> Decoded:
    """Decode `registers` (first register → bytes; the rest zero) as such a device's answers."""
    memory = bytearray(2 * 65536)
    for register, raw in registers.items():
        memory[2 * register : 2 * register + len(raw)] = raw
    blocks = blocks_of(*tags, **connection)
    decoder = Decoder(blocks)
    image = bytearray(decoder.size)
    for block, (begin, end) in zip(blocks, decoder.spans, strict=True):
        image[begin:end] = memory[2 * block.start : 2 * block.start + block.size]
    return decoder.decode(image)


def ordered(big: bytes, word_order: str, byte_order: str) -> bytes:
    """Lay out a big-endian value as equipment with these orders does, word by word."""
    words = [big[at : at + 2] for at in range(0, len(big), 2)]
    if word_order == "little":
        words = words[::-1]
    if byte_order == "little":
        words = [struct.pack("<H", *struct.unpack(">H", word)) for word in words]
    return b"".join(words)
