"""A book from XLSX: one worksheet per sheet, read row by row; formulas are refused, never computed.

`xlsx_guard` has looked at the file before openpyxl does. Rows and cells are counted here again.
"""

import warnings
from io import BytesIO
from typing import Any

from openpyxl import load_workbook

from services.ledger.cells import shown
from services.ledger.columns import title
from services.ledger.document import SHEETS, Book
from services.ledger.entries import COLUMNS_LIMIT, ROWS_LIMIT, Table, letter, sheet_called
from services.ledger.problems import Layout
from services.ledger.xlsx_guard import Refused, guard

FORMAT_ROWS = 1_048_576
UNREADABLE = (
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What openpyxl raises on a workbook that contradicts itself; it has no error of its own for that."""


def read_xlsx(data: bytes, book: Book) -> None:
    """Read a workbook into the book."""
    page = Layout(title=book.source or "XLSX")
    try:
        guard(data)
    except Refused as refused:
        book.problems.error(refused.key, page, **refused.params)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of parts it does not keep; none is wanted here
        try:
            workbook = load_workbook(BytesIO(data), read_only=True, data_only=False, keep_links=False)
            try:
                _worksheets(book, workbook.worksheets)
            finally:
                workbook.close()
        except UNREADABLE as error:
            detail = f"{type(error).__name__}: {error}"
            book.problems.error("book.xlsx-not-a-workbook", page, detail=shown(detail))


def _worksheets(book: Book, worksheets: list[Any]) -> None:
    known = [(sheet_called(worksheet.title), worksheet) for worksheet in worksheets]
    page = Layout(title=book.source or "XLSX")
    if not any(sheet for sheet, _ in known):
        names = ", ".join(title(sheet, "zh-CN") for sheet in SHEETS)
        book.problems.error("book.no-sheet", page, known=names)
        return
    for sheet, worksheet in known:
        called = Layout(title=shown(worksheet.title))
        if sheet is None:
            book.problems.warn("book.sheet-ignored", called)
        elif sheet in book.layouts:
            book.problems.error("book.sheet-twice", called)
        else:
            _worksheet(book, sheet, worksheet)


def _worksheet(book: Book, sheet: str, worksheet: Any) -> None:
    called = shown(worksheet.title)
    worksheet.reset_dimensions()
    table: Table | None = None
    count = 0
    for number, cells in enumerate(worksheet.iter_rows(max_row=FORMAT_ROWS), start=1):
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


def _values(book: Book, called: str, number: int, cells: tuple[Any, ...]) -> list[Any] | None:
    """Return the row's values up to its last; None for an empty row, or one whose problem has been said."""
    values: list[Any] = []
    last, good = 0, True
    for index, cell in enumerate(cells):
        value = cell.value
        values.append(value)
        if value is None or value == "":
            continue
        last = index + 1
        if cell.data_type in ("f", "e"):
            good = False
            layout = Layout(title=called, cells={"cell": (letter(index), f"{letter(index)}{number}")})
            key = "book.formula-cell" if cell.data_type == "f" else "book.error-cell"
            book.problems.error(key, layout, number, "cell", value=shown(value))
    return values[:last] if last and good else None
