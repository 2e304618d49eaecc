"""Equipment that nobody here wrote: pyModbusTCP, pymodbus and libmodbus servers, read, identified and written."""

import csv
import itertools
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyModbusTCP.server import ModbusServer

from muster.errors import RequestError, Unavailable
from muster.quality import Quality
from tests.conftest import a_free_port
from tests.integration.modbus.room import device, tag, until, working

SHARED = Path(__file__).parents[4] / "shared" / "data"
LIBMODBUS = Path(__file__).with_name("libmodbus_server.c")


@contextmanager
def pymodbustcp() -> Iterator[tuple[int, Any]]:
    """Run a pyModbusTCP server; gives its port and its data bank."""
    port = a_free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True)
    server.start()
    try:
        yield port, server.data_bank
    finally:
        server.stop()


@contextmanager
def libmodbus(folder: Path, registers: list[int]) -> Iterator[int]:
    """Build and run a server on libmodbus whose holding registers hold `registers`."""
    if shutil.which("cc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        pytest.skip("no C compiler or no libmodbus headers (Debian: gcc libmodbus-dev)")
    program = folder / "server"
    subprocess.run(["cc", "-o", str(program), str(LIBMODBUS), "-lmodbus"], check=True)
    port = a_free_port()
    content = folder / "registers"
    content.write_text("\n".join(map(str, registers)))
    process = subprocess.Popen([str(program), str(port), str(content)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def words(raw: bytes) -> list[int]:
    return (
        [int.from_bytes(pair, "big") for pair in itertools.batched(raw, 2)]
        if sys.version_info >= (3, 12)
        else [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    )


async def test_pymodbustcp_is_read_in_every_type_and_order() -> None:
    with pymodbustcp() as (port, bank):
        raw = struct.pack(">hHiIfd", -5, 65535, -(2**31), 2**32 - 1, 1.5, -0.1) + struct.pack(">Q", 2**64 - 1)
        bank.set_holding_registers(0, words(raw))
        bank.set_holding_registers(100, list(reversed(words(struct.pack(">f", 3.25)))))
        bank.set_input_registers(7, [0b0000_0100_0000_0001])
        bank.set_coils(3, [True])
        one = device(
            1,
            [
                tag(1, "a", "int16", register=0),
                tag(2, "b", "uint16", register=1, scale=0.1),
                tag(3, "c", "int32", register=2),
                tag(4, "d", "uint32", register=4),
                tag(5, "e", "float32", register=6),
                tag(6, "f", "float64", register=8),
                tag(7, "g", "uint64", register=12),
                tag(8, "h", "float32", register=100, word_order="little"),
                tag(9, "i", "bit", table="input", register=7, bit=10),
                tag(10, "j", "bool", table="coil", register=3),
            ],
            port=port,
        )
        async with working(one) as (_, seen):
            await until(lambda: len(seen.of(1)) >= 3)
        value = seen.of(1)[-1].value
        assert value[[0, 1, 2, 3, 4, 5, 7, 8, 9]].tolist() == [
            -5,
            65535 * 0.1,
            -(2**31),
            2**32 - 1,
            1.5,
            -0.1,
            3.25,
            1,
            1,
        ]
        assert seen.texts[-1].value == str(2**64 - 1)
        assert seen.events[0].kind == "session_up"


async def test_what_is_written_to_pymodbustcp_reads_back_and_limits_hold() -> None:
    with pymodbustcp() as (port, bank):
        one = device(
            1,
            [
                tag(1, "speed", "float32", register=10, writable=True, low=0, high=100),
                tag(2, "mode", "uint16", register=20, writable=True),
                tag(3, "run", "bool", table="coil", register=5, writable=True),
                tag(4, "flag", "bit", register=30, bit=9, writable=True),
                tag(5, "fixed", "uint16", register=40),
            ],
            port=port,
        )
        async with working(one) as (room, seen):
            await until(lambda: bool(seen.of(1)))
            assert (await room.write(1, 1, 42.5)).value == 42.5
            assert (await room.write(1, 2, 7)).value == 7
            assert (await room.write(1, 3, 1)).value == 1
            bank.set_holding_registers(30, [0x8001])
            assert (await room.write(1, 4, 1)).value == 1
            assert bank.get_holding_registers(30, 1) == [0x8201]
            with pytest.raises(RequestError, match="outside"):
                await room.write(1, 1, 101)
            with pytest.raises(RequestError, match="not writable"):
                await room.write(1, 5, 1)
            assert [value.value for value in await room.read(1, [2, 1])] == [42.5, 7]


async def test_sunspec_registers_on_libmodbus_are_read_and_the_nameplate_is_its_identity(
    tmp_path: Path,
) -> None:
    model = SHARED / "sunspec"
    if not model.is_dir():
        pytest.skip("shared data absent: sunspec")
    points = {
        point["name"]: point
        for point in json.loads((model / "model_1.json").read_text("utf-8"))["group"]["points"]
    }
    texts = {"Mn": "Honest Works", "Md": "HX-100", "Opt": "", "Vr": "2.1", "SN": "SN-0042"}
    raw = b"SunS" + struct.pack(">HH", 1, 66)
    for name, text in texts.items():
        raw += text.encode().ljust(2 * points[name]["size"], b"\0")
    raw += struct.pack(">HH", 1, 0x8000)
    inverter = struct.pack(">HH", 103, 50) + struct.pack(">4Hh", 250, 83, 84, 83, -1)
    with libmodbus(tmp_path, words(raw + inverter)) as port:
        one = device(
            1,
            [
                tag(1, "A", "uint16", register=72, scale=0.1),
                tag(2, "A_SF", "int16", register=76),
                tag(3, "DA_pad", "uint16", register=69, absent=0x8000),
            ],
            port=port,
            identity={"kind": "sunspec", "register": 0},
        )
        async with working(one) as (room, seen):
            await until(lambda: bool(seen.said("identity")) and len(seen.of(1)) > 1)
            found = [(one.name, one.address) for one in await room.browse(1, "")]
            assert found == [("SunSpec 1", {"register": 2}), ("SunSpec 103", {"register": 70})]
            assert [one.path for one in await room.browse(1, "sunspec/10")] == ["SunSpec/103"]
        (identity,) = seen.said("identity")
        assert identity.detail["sunspec"]["serial_number"] == "SN-0042"
        assert identity.detail["sunspec"]["vendor"] == "Honest Works"
        assert identity.origin is None
        scan = seen.of(1)[-1]
        assert scan.value[:2].tolist() == [25.0, -1]
        assert scan.quality is not None
        assert scan.quality.tolist() == [0, 0, Quality.NO_VALUE]


async def test_a_recording_on_pymodbustcp_is_read_bit_for_bit() -> None:
    recording = next(iter(sorted((SHARED / "skab").rglob("*.csv"))), None)
    if recording is None:
        pytest.skip("shared data absent: skab")
    with recording.open() as file:
        reader = csv.reader(file, delimiter=";")
        next(reader)
        rows = [[float(cell) for cell in row[1:9]] for row in itertools.islice(reader, 25)]
    tags = [tag(1, "row", "uint32", register=0)]
    tags += [tag(2 + at, f"c{at}", "float64", register=2 + 4 * at) for at in range(8)]
    with pymodbustcp() as (port, bank):
        one = device(1, tags, interval_s=0.05, port=port)
        async with working(one) as (_, seen):
            for number, row in enumerate(rows, 1):
                bank.set_holding_registers(0, words(struct.pack(">I8d", number, *row)))
                count = len(seen.of(1))
                await until(lambda: len(seen.of(1)) >= count + 2)  # noqa: B023 - awaited at once
        by_row = {int(scan.value[0]): scan.value[1:] for scan in seen.of(1) if scan.value[0]}
    assert sorted(by_row) == list(range(1, 26))
    for number, row in enumerate(rows, 1):
        assert by_row[number].tobytes() == np.array(row).tobytes()


async def test_an_address_that_libmodbus_refuses_ends_alone_and_its_neighbours_are_read(
    tmp_path: Path,
) -> None:
    with libmodbus(tmp_path, [11, 12, 13]) as port:
        one = device(
            1, [tag(1, "a", "uint16", register=0), tag(2, "beyond", "uint16", register=9)], port=port
        )
        async with working(one) as (room, seen):
            await until(lambda: any(scan.value[0] == 11 for scan in seen.of(1)))
            scan = seen.of(1)[-1]
            assert scan.quality is not None
            assert scan.quality.tolist() == [0, Quality.REFUSED]
            assert (await room.read(1, [2]))[0].quality == Quality.REFUSED
        assert seen.said("error", 1)[0].reason == "modbus.illegal-address"


async def test_a_server_that_goes_away_and_comes_back_leaves_a_gap_and_is_read_again(free_port: int) -> None:
    one = device(1, [tag(1, "a", "uint16", register=0)], port=free_port, backoff_max_s=0.3)
    async with working(one) as (room, seen):
        await until(lambda: bool(seen.said("session_down")))
        assert seen.said("session_down")[0].reason == "modbus.connection-refused"
        with pytest.raises(Unavailable):
            await room.read(1, [1])
        server = ModbusServer("127.0.0.1", free_port, no_block=True)
        server.start()
        await until(lambda: len(seen.of(1)) > 2)
        server.stop()
        await until(lambda: len(seen.said("session_down")) > 1)
    gaps = seen.said("gap", 1)
    assert gaps
    assert all(gap.until is not None and gap.until >= gap.at for gap in gaps)
    assert sum(gap.polls or 0 for gap in gaps) > 0
