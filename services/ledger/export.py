"""The device book out of the database as YAML, CSV or XLSX, so that importing it again changes nothing.

Everything is written, also what is at its default: a book that was exported yesterday brings yesterday back.
Photographs of nameplates are named by their SHA-256, which any import into the same installation understands.
"""

import asyncio
import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from psycopg import AsyncConnection

from muster.catalogue import Language
from services.ledger.cells import escape, write_free_cell
from services.ledger.columns import Kind, header, title
from services.ledger.devices import FOLLOWED
from services.ledger.document import SHEETS, sheet_columns
from services.ledger.files import Format
from services.ledger.registered import DeviceRow, GatewayRow, Registered, enter, read_registered
from services.ledger.shifts import write_shifts

_KEY = re.compile("[a-z0-9_]+")

Values = dict[str, Any]
"""An entry as a document writes it: dotted field → value, open dictionaries whole."""


async def export(
    connection: AsyncConnection[Any],
    format: Format,  # noqa: A002 - the word users know
    scope: int | None,
    *,
    sheet: str = "devices",
    language: Language = "zh-CN",
) -> bytes:
    """Return the book within `scope` (an enterprise's number, None for all), read at one instant.

    sheet: which one a CSV holds. language: of headings and names of sheets.
    """
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        await enter(connection, scope)
        registered = await read_registered(connection, scope)
    return await asyncio.to_thread(write_book, registered, format, sheet=sheet, language=language)


def write_book(
    registered: Registered,
    format: Format,  # noqa: A002 - the word users know
    *,
    sheet: str = "devices",
    language: Language = "zh-CN",
) -> bytes:
    """Return what is registered as a document."""
    if format == "yaml":
        return "".join(_yaml(registered)).encode()
    if format == "csv":
        return _csv(registered, sheet, language)
    return _xlsx(registered, language)


def entries(registered: Registered, sheet: str) -> Iterator[Values]:
    """Yield the entries of a sheet."""
    if sheet == "tags":
        for model in registered.models.values():
            yield from ({"model": model.code, **tag} for tag in model.tags)
        return
    rows: Any = getattr(registered, sheet).values()
    names = [column.name for column in sheet_columns(sheet)]
    for row in rows:
        if isinstance(row, DeviceRow):
            if not row.retired:
                yield _device(registered, row, names)
        elif isinstance(row, GatewayRow):
            key = base64.b64encode(row.keys[-1]).decode() if row.keys else ""
            yield {"code": row.code, "name": row.name, "enterprise": row.enterprise, "public_key": key}
        else:
            yield {name: getattr(row, name) for name in names}


def _device(registered: Registered, row: DeviceRow, names: list[str]) -> Values:
    values = {name: getattr(row, name) for name in names if "." not in name}
    model = registered.models.get(row.model or "")
    for field in FOLLOWED:
        if model is not None and getattr(model, field) == values[field]:
            values[field] = None
    said = [
        attestation
        for attestation in registered.attestations.get(row.number or 0, [])
        if attestation.serial_number == row.serial_number
    ]
    if said:
        values["attestation.attested_by"] = said[-1].attested_by
        values["attestation.attested_on"] = said[-1].attested_on
        values["attestation.nameplate"] = f"sha256:{said[-1].nameplate_sha256.hex()}"
        values["attestation.serial_number"] = said[-1].serial_number
    return values


def _yaml(registered: Registered) -> Iterator[str]:
    """Yield one line per entry; a value is JSON, which YAML understands."""
    for sheet in SHEETS:
        if sheet == "tags":
            continue
        yield f"{sheet}:\n"
        for values in entries(registered, sheet):
            attestation = {
                name.partition(".")[2]: values.pop(name) for name in list(values) if name.startswith("attest")
            }
            if attestation:
                values["attestation"] = attestation
            yield (
                f"  - {{{_pairs(values)}}}\n"
                if sheet != "models"
                else f"  - {_pairs(values, chr(10) + '    ')}\n"
            )
            if sheet == "models":
                yield "    tags:\n"
                for tag in registered.models[values["code"]].tags:
                    yield f"      - {{{_pairs(tag)}}}\n"


def _pairs(values: Values, between: str = ", ") -> str:
    return between.join(
        f"{name}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}" for name, value in values.items()
    )


def _csv(registered: Registered, sheet: str, language: Language) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    names = _names(registered, sheet)
    writer.writerow([header(sheet, name, language) for name in names])
    for values in entries(registered, sheet):
        writer.writerow([cell if cell is not None else "" for cell in _cells(sheet, names, values)])
    return sink.getvalue().encode("utf-8-sig")


def _xlsx(registered: Registered, language: Language) -> bytes:
    workbook = Workbook(write_only=True)
    for sheet in SHEETS:
        page = workbook.create_sheet(title(sheet, language))
        page.freeze_panes = "A2"
        names = _names(registered, sheet)
        page.append([header(sheet, name, language) for name in names])
        for values in entries(registered, sheet):
            page.append([_typed(page, cell) for cell in _cells(sheet, names, values)])
    sink = io.BytesIO()
    workbook.save(sink)
    return sink.getvalue()


def _typed(page: Any, cell: Any) -> Any:
    """Return text as a cell of type text, so that nothing takes it for a formula or an error.

    A workbook's numbers have 16 digits; one that needs 17 is text as well, which the import reads exactly.
    """
    if isinstance(cell, float) and float(f"{cell:.16g}") != cell:
        cell = repr(cell)
    if not isinstance(cell, str):
        return cell
    typed = WriteOnlyCell(page, cell)
    typed.data_type = "s"
    return typed


def _names(registered: Registered, sheet: str) -> list[str]:
    """Return the columns that a sheet needs: an open dictionary becomes one for each key that occurs."""
    names: list[str] = []
    for column in sheet_columns(sheet):
        if column.field.kind is not Kind.OPEN:
            names.append(column.name)
            continue
        found: dict[str, None] = {}
        for values in entries(registered, sheet):
            found.update(dict.fromkeys(_flat(column.name, values[column.name] or {})))
        names.extend(found)
    return names


def _flat(name: str, value: dict[str, Any]) -> Values:
    """Return an open dictionary as dotted cells; one whose keys cannot be columns stays whole, as JSON."""
    if not all(_KEY.fullmatch(key) for key in value):
        return {name: value}
    cells: Values = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            cells.update(_flat(f"{name}.{key}", inner))
        else:
            cells[f"{name}.{key}"] = inner
    return cells


def _cells(sheet: str, names: list[str], values: Values) -> list[Any]:
    """Return the cells of an entry under `names`, text escaped."""
    flat: Values = {}
    for column in sheet_columns(sheet):
        value = values.get(column.name)
        if column.field.kind is Kind.OPEN:
            flat.update(
                {name: write_free_cell(inner) for name, inner in _flat(column.name, value or {}).items()}
            )
        elif column.field.kind is Kind.SHIFTS:
            flat[column.name] = write_shifts(value) if value else None
        elif isinstance(value, bool):
            flat[column.name] = "true" if value else "false"
        else:
            flat[column.name] = value
    cells = (flat.get(name) for name in names)
    return [escape(cell) if isinstance(cell, str) else cell for cell in cells]
