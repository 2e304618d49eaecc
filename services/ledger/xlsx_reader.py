"""A book from XLSX: one worksheet per sheet, read row by row; formulas are refused, never computed."""

import zipfile
from collections.abc import Iterable
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

from services.ledger.cells import shown
from services.ledger.columns import title
from services.ledger.document import SHEETS, Book
from services.ledger.entries import COLUMNS_LIMIT, ROWS_LIMIT, Table, letter, sheet_called
from services.ledger.problems import Layout
from services.ledger.xlsx_cells import Marked, rows
from services.ledger.xlsx_guard import UNREADABLE, Refused, guard
from services.ledger.xlsx_parts import Workbook


def read_xlsx(data: bytes, book: Book) -> None:
    """Read a workbook into the book."""
    page = Layout(title=book.source or "XLSX")
    try:
        guard(data)
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _worksheets(book, Workbook(archive))
    except Refused as refused:
        book.problems.error(refused.key, page, **refused.params)
    except (*UNREADABLE, KeyError, ElementTree.ParseError) as error:
        detail = f"{type(error).__name__}: {error}"
        book.problems.error("book.xlsx-not-a-workbook", page, detail=shown(detail))


def _worksheets(book: Book, workbook: Workbook) -> None:
    known = [(sheet_called(called), called, part) for called, part in workbook.sheets]
    page = Layout(title=book.source or "XLSX")
    if not any(sheet for sheet, _, _ in known):
        names = ", ".join(title(sheet, "zh-CN") for sheet in SHEETS)
        book.problems.error("book.no-sheet", page, known=names)
        return
    for sheet, called, part in known:
        place = Layout(title=shown(called))
        if sheet is None:
            book.problems.warn("book.sheet-ignored", place)
        elif sheet in book.layouts:
            book.problems.error("book.sheet-twice", place)
        else:
            book.layouts[sheet] = place
            _worksheet(book, sheet, shown(called), rows(workbook, part))


def _worksheet(book: Book, sheet: str, called: str, found: Iterable[tuple[int, list[Any]]]) -> None:
    table: Table | None = None
    count = 0
    for number, cells in found:
        values = _values(book, called, number, cells)
        if values is None:
            continue
        if len(values) > COLUMNS_LIMIT:
            book.problems.error("book.too-many-columns", Layout(title=called), number, limit=COLUMNS_LIMIT)
            return
        if table is None:
            table = Table(book, sheet, called, values, number, {})
            if table.broken:
                return
            continue
        count += 1
        if count > ROWS_LIMIT:
            book.problems.error("book.too-many-rows", table.layout, number, limit=ROWS_LIMIT)
            return
        table.row(number, values)


def _values(book: Book, called: str, number: int, cells: list[Any]) -> list[Any] | None:
    """Return the row's values; None for an empty row, or one whose problem has been said."""
    good = True
    for index, cell in enumerate(cells):
        if type(cell) is Marked:
            good = False
            layout = Layout(title=called, cells={"cell": (letter(index), f"{letter(index)}{number}")})
            book.problems.error(cell.key, layout, number, "cell", value=shown(cell.text))
    return cells if cells and good else None
