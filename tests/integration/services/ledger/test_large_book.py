"""A hundred thousand devices: three mistakes are found among them, and without mistakes all are written."""

import csv
import io
import resource
import time
from collections.abc import Mapping
from typing import Any

import pytest
from openpyxl import Workbook
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.protocol import ProtocolInfo
from services import ledger

Connection = AsyncConnection[TupleRow]
Protocols = Mapping[str, ProtocolInfo]
ROWS = 100_000
WITHIN_S = 600.0
"""Far more than it takes on a machine that others use as well, and less than a statement for each row would."""
HEADINGS = [
    "企业编码",
    "设备编码",
    "设备名称",
    "网关编码",
    "模型编码",
    "主机",
    "端口",
    "从站号",
    "序列号",
    "来源",
]
MODEL = b"""
enterprises: [{code: acme, name: Acme}]
gateways: [{code: gw}]
models:
  - code: pump
    name: Pump
    protocol: modbus
    device_class: operating
    tags: [{name: speed, type: uint16, address: {register: 0}}, {name: t, type: uint16, address: {register: 1}}]
"""


def row(number: int) -> list[Any]:
    return [
        "acme",
        f"P-{number:06}",
        f"{number}号泵",
        "gw",
        "pump",
        f"h{number}",
        502,
        1,
        f"S{number}",
        "未知",
    ]


def table(many: int) -> list[list[Any]]:
    return [HEADINGS, *(row(number) for number in range(2, many + 2))]


def as_csv(rows: list[list[Any]]) -> bytes:
    sink = io.StringIO()
    csv.writer(sink).writerows(rows)
    return sink.getvalue().encode("gb18030")


def as_xlsx(rows: list[list[Any]]) -> bytes:
    workbook = Workbook(write_only=True)
    page = workbook.create_sheet("设备")
    for cells in rows:
        page.append(cells)
    sink = io.BytesIO()
    workbook.save(sink)
    return sink.getvalue()


async def put(api: Connection, protocols: Protocols, data: bytes, name: str) -> ledger.Report:
    return await ledger.apply(
        api, ledger.load(data, name=name), protocols, dry_run=False, actor="t", scope=None
    )


async def count(connection: Connection, table: str) -> int:
    cursor = await connection.execute(f"select count(*) from {table}")  # type: ignore[arg-type]
    found = await cursor.fetchone()
    assert found is not None
    return int(found[0])


def mistaken() -> list[list[Any]]:
    rows = table(ROWS)
    rows[17_000][6] = "五百"
    rows[50_000][4] = "pomp"
    rows[99_999][1] = "P-000002"
    return rows


async def the_mistakes_are_named(
    api: Connection, owner: Connection, protocols: Protocols, data: bytes, name: str, sheet: str
) -> None:
    await put(api, protocols, MODEL, "model.yaml")
    began = time.monotonic()
    report = await put(api, protocols, data, name)
    assert time.monotonic() - began < WITHIN_S
    assert [(problem.key, problem.sheet, problem.row, problem.column) for problem in report.errors] == [
        ("book.protocol-refuses", sheet, 17_001, "G"),
        ("book.unknown-model", sheet, 50_001, "E"),
        ("book.duplicate", sheet, 100_000, "B"),
    ]
    assert report.error_count == 3
    assert await count(owner, "device") == 0


async def test_three_mistakes_among_a_hundred_thousand_rows_are_named_and_nothing_is_written(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    data = as_csv(mistaken())
    await the_mistakes_are_named(api, owner, protocols, data, "devices.csv", "devices.csv")


@pytest.mark.long
async def test_three_mistakes_in_a_workbook_of_a_hundred_thousand_rows_are_named(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    data = as_xlsx(mistaken())
    await the_mistakes_are_named(api, owner, protocols, data, "devices.xlsx", "设备")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("many", [5_000, pytest.param(ROWS, marks=pytest.mark.long)])
async def test_good_rows_are_written_in_bulk_and_again_change_nothing(
    api: Connection, owner: Connection, protocols: Protocols, many: int
) -> None:
    await put(api, protocols, MODEL, "model.yaml")
    data = as_csv(table(many))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    report = await put(api, protocols, data, "devices.csv")
    assert report.applied
    assert time.monotonic() - began < WITHIN_S
    assert await count(owner, "device") == many
    assert await count(owner, "tag") == 2 * many
    assert await count(owner, "device_history") == many
    again = await put(api, protocols, data, "devices.csv")
    assert again.counts["devices"].unchanged == many
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 1_500_000
