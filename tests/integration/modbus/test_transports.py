"""The other transports, on servers that nobody here wrote: pymodbus over a serial pair, a tunnel and TLS."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.integration.modbus.room import device, tag, until, working


def bank() -> SimDevice:
    return SimDevice(1, simdata=[SimData(0, values=list(range(100, 120)), datatype=DataType.REGISTERS)])


@contextlib.asynccontextmanager
async def serving(server: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        await server.shutdown()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def serial_pair() -> Any:
    """Two serial ports that speak to one another: pseudo-terminals with a pump between their masters."""
    (left, left_end), (right, right_end) = os.openpty(), os.openpty()
    for end in (left_end, right_end):
        tty.setraw(end)
    loop = asyncio.get_running_loop()
    for source, target in ((left, right), (right, left)):
        loop.add_reader(source, lambda s=source, t=target: os.write(t, os.read(s, 4096)))
    try:
        yield os.ttyname(left_end), os.ttyname(right_end)
    finally:
        for source in (left, right):
            loop.remove_reader(source)
        for descriptor in (left, right, left_end, right_end):
            os.close(descriptor)


async def test_a_serial_line_is_read() -> None:
    with serial_pair() as (ours, theirs):
        server = ModbusSerialServer(bank(), framer=FramerType.RTU, port=theirs, baudrate=19200)
        one = device(
            1,
            [tag(1, "a", "uint16", register=0), tag(2, "b", "uint16", register=5)],
            transport="rtu",
            serial={"port": ours, "parity": "none"},
            timeout_ms=500,
        )
        async with serving(server), working(one) as (_, seen):
            await until(lambda: len(seen.of(1)) >= 3)
    assert seen.of(1)[-1].value[[0, 1]].tolist() == [100, 105]


async def test_rtu_through_a_tunnel_is_read(free_port: int) -> None:
    server = ModbusTcpServer(bank(), framer=FramerType.RTU, address=("127.0.0.1", free_port))
    one = device(1, [tag(1, "a", "uint16", register=3)], transport="rtu_over_tcp", port=free_port)
    async with serving(server), working(one) as (_, seen):
        await until(lambda: len(seen.of(1)) >= 3)
    assert seen.of(1)[-1].value[0] == 103


def certificate(folder: Path, name: str, days: str = "2") -> tuple[Path, Path]:
    key, chain = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                days,
                "-subj",
                f"/CN={name}",
            ),
            *("-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(chain)),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


@pytest.fixture
def tls_server(tmp_path: Path, free_port: int) -> tuple[Any, int, Path]:
    chain, key = certificate(tmp_path, "plc.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, free_port, chain


async def test_tls_is_read_when_the_certificate_is_the_expected_one(
    tls_server: tuple[Any, int, Path],
) -> None:
    context, port, chain = tls_server
    server = ModbusTlsServer(bank(), address=("127.0.0.1", port), sslctx=context)
    one = device(
        1,
        [tag(1, "a", "uint16", register=4)],
        transport="tls",
        port=port,
        tls={"ca_file": str(chain), "server_name": "plc.example"},
    )
    async with serving(server), working(one) as (_, seen):
        await until(lambda: len(seen.of(1)) >= 3)
    assert seen.of(1)[-1].value[0] == 104


@pytest.mark.parametrize("name", ["other.example", None])
async def test_a_certificate_that_is_not_the_expected_one_is_refused_by_name(
    tls_server: tuple[Any, int, Path], name: str | None
) -> None:
    context, port, chain = tls_server
    server = ModbusTlsServer(bank(), address=("127.0.0.1", port), sslctx=context)
    tls = {"ca_file": str(chain), "server_name": name} if name else {"server_name": "plc.example"}
    one = device(1, [tag(1, "a", "uint16", register=4)], transport="tls", port=port, tls=tls)
    async with serving(server), working(one) as (_, seen):
        await until(lambda: bool(seen.said("session_down")))
    assert seen.said("session_down")[0].reason == "modbus.certificate-refused"
    assert not seen.of(1)


async def test_a_server_that_wants_to_know_its_client_is_shown_the_clients_certificate(
    tmp_path: Path, tls_server: tuple[Any, int, Path]
) -> None:
    context, port, chain = tls_server
    ours, key = certificate(tmp_path, "gateway.example")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours)
    server = ModbusTlsServer(bank(), address=("127.0.0.1", port), sslctx=context)
    tls = {"ca_file": str(chain), "server_name": "plc.example"}
    known = {**tls, "certificate_file": str(ours), "key_file": str(key)}
    one, other = (
        device(
            number,
            [tag(1, "a", "uint16", register=4)],
            transport="tls",
            port=port,
            tls=which,
            device_identification=False,
        )
        for number, which in ((1, known), (2, tls))
    )
    async with serving(server), working(one, other) as (_, seen):
        await until(lambda: len(seen.of(1)) >= 3 and bool(seen.said("gap", 2)))
    assert seen.of(1)[-1].value[0] == 104
    assert not seen.of(2)


async def test_certificate_files_that_cannot_be_used_are_named(tmp_path: Path, free_port: int) -> None:
    one = device(
        1,
        [tag(1, "a", "uint16", register=4)],
        transport="tls",
        port=free_port,
        tls={"ca_file": str(tmp_path / "absent.pem")},
    )
    async with working(one) as (_, seen):
        await until(lambda: bool(seen.said("session_down")))
    assert seen.said("session_down")[0].reason == "modbus.tls-files"


async def test_bits_are_written_in_the_device_where_it_knows_how_and_by_us_where_not(free_port: int) -> None:
    seen_functions: list[int] = []

    def note(sending: bool, pdu: Any) -> Any:
        if not sending:
            seen_functions.append(pdu.function_code)
        return pdu

    server = ModbusTcpServer(bank(), address=("127.0.0.1", free_port), trace_pdu=note)
    flag = tag(1, "flag", "bit", register=0, bit=9, writable=True)
    async with serving(server), working(device(1, [flag], port=free_port)) as (room, seen):
        await until(lambda: bool(seen.of(1)))
        assert (await room.write(1, 1, 1)).value == 1
        assert (await room.write(1, 1, 0)).value == 0
    assert 22 in seen_functions
    assert 6 not in seen_functions
