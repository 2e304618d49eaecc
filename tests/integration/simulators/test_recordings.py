"""Replays and counting equipment over the wire."""

import asyncio
import struct
from pathlib import Path

import numpy as np
import pytest

from simulators import pollcounter
from simulators.modbus.ports import free_ports
from simulators.modbus.server import Endpoint
from simulators.replays.modbus import FloatType, ModbusPlayer
from simulators.replays.recording import load
from simulators.serve import serve
from tests.integration.simulators.fleets import wire


async def listening(*endpoints: Endpoint) -> None:
    """Wait until all ports are open."""
    async with asyncio.timeout(10):
        while not all(endpoint.listening for endpoint in endpoints):
            await asyncio.sleep(0.005)


SKAB = Path(__file__).parents[4] / "shared" / "data" / "skab" / "valve1" / "0.csv"


@pytest.mark.parametrize(("float_type", "dtype"), [("float64", ">f8"), ("float32", ">f4")])
async def test_every_value_of_a_recording_arrives_bit_for_bit(float_type: FloatType, dtype: str) -> None:
    if not SKAB.is_file():
        pytest.skip("the recordings of ../shared/data/skab are not here")
    recording = load(SKAB)
    (port,) = free_ports(1)
    player = ModbusPlayer(recording, "127.0.0.1", port, float_type)
    width = np.dtype(dtype).itemsize // 2
    count = 2 + width * len(recording.columns)
    text = [line.split(";")[1:] for line in SKAB.read_text("utf-8").splitlines()[1:]]
    stop = asyncio.Event()
    served = asyncio.create_task(serve([player], player.run(500.0, False), stop))
    found: dict[int, bytes] = {}
    try:
        await listening(player.endpoint)
        async with asyncio.timeout(60), wire(port) as line:
            while len(text) not in found:
                said = await line.ask(1, struct.pack(">BHH", 3, 0, count))
                found[int.from_bytes(said[2:6], "big")] = said[6:]
    finally:
        stop.set()
        await served
    assert len(found) > 500
    for row, raw in found.items():
        wanted = np.array([float(cell) for cell in text[row - 1]]).astype(dtype)
        assert raw == wanted.tobytes(), row


async def test_a_recording_in_a_loop_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("a\n1\n2\n", "utf-8")
    (port,) = free_ports(1)
    player = ModbusPlayer(load(path), "127.0.0.1", port)
    stop = asyncio.Event()
    served = asyncio.create_task(serve([player], player.run(1000.0, True), stop))
    async with asyncio.timeout(10):
        while player.rows_shown < 8:
            await asyncio.sleep(0.002)
    stop.set()
    await served


async def test_counting_equipment_logs_every_answer_it_gives_and_no_other(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    ports = free_ports(pollcounter.endpoint_count(7))
    endpoints = pollcounter.endpoints(7, "127.0.0.1", ports, log)
    stop = asyncio.Event()
    served = asyncio.create_task(serve(endpoints, None, stop))
    given: list[tuple[int, int]] = []
    await listening(*endpoints)
    async with asyncio.timeout(20):
        async with wire(ports[0]) as first, wire(ports[1]) as second:
            for line, unit, number in [(first, 1, 1), (first, 5, 5), (second, 2, 7), (first, 1, 1)] * 20:
                said = await line.ask(unit, struct.pack(">BHH", 3, 0, pollcounter.REGISTERS))
                given.append((number, int.from_bytes(said[2:6], "big")))
            assert await first.ask(1, struct.pack(">BHH", 3, 0, 17)) == b"\x83\x02"
            assert await first.ask(1, struct.pack(">BHH", 6, 0, 1)) == b"\x86\x01"
            assert b"Muster Simulator" in await first.ask(1, b"\x2b\x0e\x01\x00")
    stop.set()
    await served
    logged = list(pollcounter.read_log(log))
    assert [(number, count) for number, count, _ in logged] == given
    assert [count for number, count in given if number == 1] == list(range(1, 41))
    times = [at_us for _, _, at_us in logged]
    assert times == sorted(times)


async def test_what_a_player_raises_ends_the_serving() -> None:
    async def break_down() -> None:
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        await serve([], break_down(), asyncio.Event())
