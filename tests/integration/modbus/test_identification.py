"""What a device says it is: asked once, to the level it has, and believed only where it is pessimistic."""

import struct
from typing import Any

import pytest
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer

from muster.device import Origin
from tests.integration.modbus.equipment import Reply, equipment, frame, honest
from tests.integration.modbus.room import device, tag, until, working
from tests.integration.modbus.test_transports import bank, serving

ONE = tag(1, "a", "uint16", register=0)


def objects(
    *texts: tuple[int, str], level: int = 1, conformity: int = 1, following: int | None = None
) -> bytes:
    """Return an identification reply, with `following` more to come."""
    said = [(number, text.encode()) for number, text in texts]
    body = b"".join(bytes([number, len(text)]) + text for number, text in said)
    more = (0xFF, following) if following is not None else (0, 0)
    return bytes([43, 14, level, conformity, *more, len(texts)]) + body


def saying(answers: dict[tuple[int, int], bytes]) -> Reply:
    """Return equipment that answers identification requests by (level, first object), and reads honestly."""

    def reply(transaction: int, unit: int, pdu: bytes) -> bytes:
        if pdu[0] != 43:
            return honest(transaction, unit, pdu)
        return frame(transaction, unit, answers.get((pdu[2], pdu[3]), b"\xab\x03"))

    return reply


async def identity_of(reply: Reply, **connection: Any) -> Any:
    async with equipment(reply) as port, working(device(1, [ONE], port=port, **connection)) as (room, seen):
        await until(lambda: bool(seen.said("identity")) and len(seen.of(1)) > 2)
        (said,) = seen.said("identity")
        assert room.diagnostics(1).identity == said.detail
        return said


async def test_every_object_that_pymodbus_has_is_read() -> None:
    info = {0: "Acme", 1: "PX-9", 2: "3.1", 3: "http://acme.example", 4: "Pump", 5: "P9", 6: "hall 2"}
    identity = ModbusDeviceIdentification(info={**info, 0x80: "private"})
    server = ModbusTcpServer(bank(), identity=identity, address=("127.0.0.1", 0))
    async with serving(server):
        port = server.transport.sockets[0].getsockname()[1]
        async with working(device(1, [ONE], port=port)) as (_, seen):
            await until(lambda: bool(seen.said("identity")))
    (said,) = seen.said("identity")
    assert said.origin is None
    assert said.detail["device_identification"] == {
        "vendor": "Acme",
        "product_code": "PX-9",
        "revision": "3.1",
        "vendor_url": "http://acme.example",
        "product_name": "Pump",
        "model_name": "P9",
        "user_application_name": "hall 2",
        "object_128": "private",
        "conformity": "extended",
    }


async def test_an_identification_in_several_replies_is_put_together() -> None:
    said = await identity_of(
        saying(
            {
                (1, 0): objects((0, "Acme"), following=1),
                (1, 1): objects((1, "PX-9"), following=2),
                (1, 2): objects((2, "3.1")),
            }
        )
    )
    assert said.detail["device_identification"] == {
        "vendor": "Acme",
        "product_code": "PX-9",
        "revision": "3.1",
        "conformity": "basic",
    }


async def test_an_identification_that_walks_in_circles_is_left() -> None:
    said = await identity_of(saying({(1, 0): objects((0, "Acme"), following=0)}))
    assert said.detail["device_identification"]["vendor"] == "Acme"


async def test_a_level_that_is_promised_and_refused_leaves_what_was_read() -> None:
    said = await identity_of(saying({(1, 0): objects((0, "Acme"), conformity=0x83)}))
    assert said.detail["device_identification"] == {"vendor": "Acme", "conformity": "extended"}


@pytest.mark.parametrize(
    ("texts", "origin"),
    [
        ([(0, "Muster Simulator"), (4, "pump")], Origin.SIMULATED),
        ([(0, "Muster Replay")], Origin.REPLAYED),
        ([(0, "Muster Simulator"), (4, "replay of valve1/0.csv")], Origin.REPLAYED),
        ([(0, "某厂"), (4, "离心机仿真")], Origin.SIMULATED),
        ([(0, "Honest Works"), (4, "Compressor")], None),
    ],
)
async def test_what_calls_itself_a_simulator_or_a_replay_is_taken_at_its_word(
    texts: list[tuple[int, str]], origin: Origin | None
) -> None:
    assert (await identity_of(saying({(1, 0): objects(*texts)}))).origin == origin


async def test_a_nameplate_in_registers_is_read_from_the_devices_own_window() -> None:
    memory = bytearray(2 * 300)
    memory[2 * 110 : 2 * 110 + 8] = b"SN-0007\0"
    memory[2 * 114 : 2 * 114 + 4] = struct.pack(">I", 2024)

    def reply(transaction: int, unit: int, pdu: bytes) -> bytes:
        if pdu[0] != 3:
            return honest(transaction, unit, pdu)
        start, count = struct.unpack(">HH", pdu[1:5])
        return frame(transaction, unit, bytes([3, 2 * count]) + memory[2 * start : 2 * (start + count)])

    fields = {
        "serial_number": {"register": 10, "length": 4},
        "built": {"register": 14, "type": "uint32"},
    }
    said = await identity_of(
        reply,
        window={"start": 100, "length": 50},
        identity={"kind": "registers", "fields": fields},
    )
    assert said.detail == {"registers": {"serial_number": "SN-0007", "built": "2024"}}


async def test_a_device_that_ignores_the_question_is_polled_on_and_asked_no_more() -> None:
    asked = 0

    def reply(transaction: int, unit: int, pdu: bytes) -> bytes | None:
        nonlocal asked
        asked += pdu[0] == 43
        return None if pdu[0] == 43 else honest(transaction, unit, pdu)

    async with equipment(reply) as port, working(device(1, [ONE], port=port)) as (_, seen):
        await until(lambda: asked == 1 and len(seen.of(1)) > 20)
        assert not seen.said("session_down")
    assert asked == 1
    assert not seen.said("identity")


async def test_another_machine_at_the_same_address_is_noticed(free_port: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.adapters.modbus.station._IDENTIFY_EVERY_S", 0.0)
    one = device(1, [ONE], port=free_port, backoff_max_s=0.2)
    async with working(one) as (_, seen):
        for name in ("Acme", "Muster Simulator"):
            async with equipment(saying({(1, 0): objects((0, name))}), port=free_port):
                await until(
                    lambda n=name: any(
                        event.detail.get("device_identification", {}).get("vendor") == n
                        for event in seen.said("identity")
                    )
                )
        async with equipment(honest, port=free_port):
            await until(lambda: not seen.said("identity")[-1].detail)
    assert [event.origin for event in seen.said("identity")] == [None, Origin.SIMULATED, None]
