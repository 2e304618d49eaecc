"""The workbook that people fill in: headings, a row of hints, an example row, lists of choices.

The importer knows the hints and the example by their exact contents and skips them with a warning, so that
leaving them in harms nothing.
"""

from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from muster.catalogue import Language
from services.ledger.columns import Column, Kind, header, hint, title
from services.ledger.document import SHEETS, sheet_columns

ROWS_WITH_CHOICES = 10_000


def spread(sheet: str) -> list[tuple[str, Column]]:
    """Return the headings the template offers: one for each field, and for each usual key of open ones."""
    names: list[tuple[str, Column]] = []
    for column in sheet_columns(sheet):
        if column.field.kind is Kind.OPEN:
            names.extend((f"{column.name}.{part}", column) for part in column.field.parts)
        else:
            names.append((column.name, column))
    return names


def hint_cells(sheet: str, language: Language) -> list[Any]:
    """Return the row of hints, None where there is nothing to say."""
    return [hint(sheet, name, language) or None for name, _ in spread(sheet)]


def example_cells(sheet: str) -> list[Any]:
    """Return the example row."""
    cells: list[Any] = []
    for name, column in spread(sheet):
        example = column.field.example
        if column.field.kind is Kind.OPEN:
            example = (example or {}).get(name.partition(".")[2])
        cells.append(str(example).lower() if isinstance(example, bool) else example)
    return cells


def template(language: Language = "zh-CN") -> bytes:
    """Return the template workbook (XLSX) in `language`."""
    workbook = Workbook()
    workbook.remove(workbook.worksheets[0])
    for sheet in SHEETS:
        _fill(workbook.create_sheet(title(sheet, language)), sheet, language)
    sink = BytesIO()
    workbook.save(sink)
    return sink.getvalue()


def _fill(page: Worksheet, sheet: str, language: Language) -> None:
    names = spread(sheet)
    page.append([_marked(sheet, name, column, language) for name, column in names])
    page.append(hint_cells(sheet, language))
    page.append(example_cells(sheet))
    page.freeze_panes = "A2"
    for cell in page[1]:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="FFE8EEF4")
    for cell in page[2]:
        cell.font = Font(italic=True, color="FF667788")
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    for index, (_, column) in enumerate(names, start=1):
        name = get_column_letter(index)
        page.column_dimensions[name].width = 18
        choices = ("true", "false") if column.field.kind is Kind.BOOLEAN else column.field.choices
        if choices:
            allowed = DataValidation(type="list", formula1=f'"{",".join(choices)}"', allow_blank=True)
            allowed.errorStyle = "warning"
            page.add_data_validation(allowed)
            allowed.add(f"{name}3:{name}{ROWS_WITH_CHOICES}")
        elif column.field.kind in (Kind.CODE, Kind.TEXT):
            page.column_dimensions[name].number_format = "@"


def _marked(sheet: str, name: str, column: Column, language: Language) -> str:
    needed = column.field.key or (column.field.required and column.field.kind is not Kind.OPEN)
    return header(sheet, name, language) + ("*" if needed and len(column.path) == 1 else "")
