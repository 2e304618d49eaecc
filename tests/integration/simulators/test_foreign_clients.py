"""Clients that nobody here wrote speak with the simulated equipment: pymodbus and mbpoll."""

import asyncio
import shutil
import struct

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest

from simulators.fleet.fleet import Fleet
from simulators.fleet.plan import Station
from simulators.modbus.identity import BLOCK_REGISTER
from tests.integration.simulators.fleets import station_of, working


def pump(fleet: Fleet) -> Station:
    return station_of(fleet, lambda s: s.kind.code == "sim-pump" and s.window is None and not s.idle)


async def connected(fleet: Fleet, station: Station) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient("127.0.0.1", port=fleet.endpoints[station.endpoint].port, retries=0)
    assert await client.connect()
    return client


async def test_pymodbus_reads_and_writes_every_table() -> None:
    async with working(60) as fleet:
        station = pump(fleet)
        unit = station.unit
        client = await connected(fleet, station)
        try:
            measured = await client.read_input_registers(0, count=16, device_id=unit)
            speed, flow = np.array(measured.registers[:4], ">u2").view(">f4").tolist()
            assert 1000 < speed < 3100
            assert 1 < flow < 800
            assert (await client.read_discrete_inputs(0, count=3, device_id=unit)).bits[:3] == [
                True,
                False,
                False,
            ]
            assert (await client.read_coils(0, count=1, device_id=unit)).bits[0]

            words = client.convert_to_registers(55.5, client.DATATYPE.FLOAT32)
            assert not (await client.write_registers(0, words, device_id=unit)).isError()
            assert (await client.read_holding_registers(0, count=2, device_id=unit)).registers == words
            assert not (await client.write_register(1, 0, device_id=unit)).isError()
            masked = await client.mask_write_register(
                address=1, and_mask=0xF0FF, or_mask=0x0A00, device_id=unit
            )
            assert not masked.isError()
            both = await client.readwrite_registers(
                read_address=0, read_count=2, write_address=0, values=[0x4200], device_id=unit
            )
            assert both.registers == [0x4200, 0x0A00]
            assert not (await client.write_coil(0, False, device_id=unit)).isError()
            assert not (await client.write_coils(0, [True], device_id=unit)).isError()
            assert (await client.read_coils(0, count=1, device_id=unit)).bits[0]
        finally:
            client.close()


async def test_pymodbus_is_refused_as_the_standard_says() -> None:
    async with working(60) as fleet:
        station = pump(fleet)
        client = await connected(fleet, station)
        try:
            beyond = await client.read_holding_registers(199, count=2, device_id=station.unit)
            assert beyond.exception_code == 2
            read_only = await client.write_register(50, 1, device_id=station.unit)
            assert read_only.exception_code == 2
            nobody = await client.read_holding_registers(0, count=1, device_id=99)
            assert nobody.exception_code == 11
            unknown = await client.report_device_id(device_id=station.unit)
            assert unknown.exception_code == 1
        finally:
            client.close()


async def test_pymodbus_is_told_that_it_speaks_with_a_simulator() -> None:
    async with working(60) as fleet:
        station = pump(fleet)
        client = await connected(fleet, station)
        try:
            request = ReadDeviceInformationRequest(read_code=3, object_id=0, dev_id=station.unit)
            said = (await client.execute(False, request)).information
        finally:
            client.close()
    assert said[0] == b"Muster Simulator"
    assert said[1] == b"sim-pump"
    assert said[6] == station.serial_number.encode()
    assert said[0x80] == b"simulated"


async def test_each_window_of_a_unit_shows_an_identity_of_its_own() -> None:
    async with working(200) as fleet:
        windowed = [s for s in fleet.stations.values() if s.window is not None and s.endpoint == 13]
        assert len(windowed) > 2
        client = await connected(fleet, windowed[0])
        try:
            for station in windowed:
                assert station.window is not None
                start = station.window + BLOCK_REGISTER
                said = await client.read_holding_registers(start, count=70, device_id=station.unit)
                raw = struct.pack(">70H", *said.registers)
                assert raw[:4] == b"SunS"
                assert raw[104:136].rstrip(b"\0").decode() == station.serial_number
            request = ReadDeviceInformationRequest(read_code=1, object_id=0, dev_id=windowed[0].unit)
            assert (await client.execute(False, request)).information[1] == b"sim-plc"
        finally:
            client.close()


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
async def test_mbpoll_reads_a_pump_and_sets_its_speed() -> None:
    async with working(60) as fleet:
        station = pump(fleet)
        port = str(fleet.endpoints[station.endpoint].port)

        async def mbpoll(*options: str) -> str:
            process = await asyncio.create_subprocess_exec(
                "mbpoll", "-0", "-1", "-B", "-a", str(station.unit), "-p", port, *options,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            said, _ = await process.communicate()
            assert process.returncode == 0, said
            return said.decode()

        said = await mbpoll("-t", "3:float", "-r", "0", "-c", "2", "127.0.0.1")
        speed = float(said.split("[0]:")[1].split()[0])
        assert 1000 < speed < 3100
        await mbpoll("-t", "4:float", "-r", "0", "127.0.0.1", "62.5")
        said = await mbpoll("-t", "4:float", "-r", "0", "127.0.0.1")
        assert float(said.split("[0]:")[1].split()[0]) == 62.5
