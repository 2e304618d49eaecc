"""A book from CSV: one sheet per file, as UTF-8 (with or without a mark), UTF-16 or GB18030.

Which sheet a file holds follows from its name or, failing that, from its headings.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from services.ledger.columns import headings, plain
from services.ledger.document import SHEETS, Book, sheet_columns
from services.ledger.entries import COLUMNS_LIMIT, ROWS_LIMIT, Table, sheet_called
from services.ledger.problems import Layout

CELL_LIMIT = 1_000_000


def decode(data: bytes) -> str:
    """Return the text of a CSV file.

    Raises:
        UnicodeDecodeError: it is in none of the encodings that spreadsheets here write.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def read_csv(data: bytes, book: Book, sheet: str | None, fixed: Mapping[str, str]) -> None:
    """Read a CSV file into one sheet of the book. fixed: fields that every row shares, such as `model`."""
    page = Layout(title=book.source or "CSV")
    try:
        text = decode(data)
    except UnicodeDecodeError as error:
        book.problems.error("book.encoding-unknown", page, detail=str(error.reason))
        return
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(CELL_LIMIT)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table: Table | None = None
    count = before = 0
    try:
        for cells in rows:
            number, before = before + 1, rows.line_num
            if table is None:
                if not any(cell.strip() for cell in cells):
                    continue
                table = _table(book, sheet, cells, number, fixed)
                if table is None or table.broken:
                    return
                continue
            count += 1
            if count > ROWS_LIMIT:
                book.problems.error("book.too-many-rows", table.layout, number, limit=ROWS_LIMIT)
                return
            if len(cells) > COLUMNS_LIMIT:
                book.problems.error("book.too-many-columns", table.layout, number, limit=COLUMNS_LIMIT)
                return
            table.row(number, cells)
    except csv.Error as error:
        book.problems.error("book.csv-syntax", page, rows.line_num, detail=str(error))


def _table(
    book: Book, sheet: str | None, cells: list[str], row: int, fixed: Mapping[str, str]
) -> Table | None:
    chosen = sheet or sheet_called(PurePath(book.source).stem) or _by_headings(cells, fixed)
    if chosen is None:
        book.problems.error("book.sheet-not-recognised", Layout(title=book.source or "CSV"), row)
        return None
    return Table(book, chosen, book.source or chosen, cells, row, fixed)


def _by_headings(cells: list[str], fixed: Mapping[str, Any]) -> str | None:
    """Return the sheet that knows most of the headings, if it has all the keys it needs."""
    best: tuple[int, str] | None = None
    for sheet, structure in SHEETS.items():
        known = headings(structure, sheet)
        named = [known.get(plain(cell)) or known.get(plain(cell.partition(".")[0])) for cell in cells]
        keys = {column.name for column in sheet_columns(sheet) if column.field.key} - set(fixed)
        score = sum(name is not None for name in named)
        if keys <= set(named) and (best is None or score > best[0]):
            best = (score, sheet)
    return best[1] if best else None
