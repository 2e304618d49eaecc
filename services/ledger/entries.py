"""Fields that were read → entries of the book, with every field's problem said in its place.

Both ways into a book end here: rows of a sheet (CSV, XLSX), whose cells stand under headings, and mappings
of a document (YAML), whose keys are fields.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from muster.catalogue import LANGUAGES
from services.ledger.cells import CellError, read, read_free_cell, shown, unescape
from services.ledger.columns import Column, Kind, header, headings, plain, title
from services.ledger.document import SHEETS, Attestation, Book, Entry, sheet_columns
from services.ledger.problems import Layout
from services.ledger.templates import example_cells, hint_cells

ROWS_LIMIT = 200_000
COLUMNS_LIMIT = 256
ABSENT: Any = object()


def letter(index: int) -> str:
    """Return a spreadsheet's name of a column, counted from 0."""
    name = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        name = chr(65 + digit) + name
    return name


class Table:
    """One sheet being read: its headings, then row by row."""

    def __init__(
        self,
        book: Book,
        sheet: str,
        called: str,
        heading_cells: Sequence[Any],
        heading_row: int,
        fixed: Mapping[str, str],
    ) -> None:
        """Read the headings. fixed: fields that hold one value for the whole sheet, by name."""
        self.book, self.sheet = book, sheet
        self.problems = book.problems
        self.layout = Layout(title=called)
        book.layouts[sheet] = self.layout
        self._structure = SHEETS[sheet]
        self._by_name = {column.name: column for column in sheet_columns(sheet)}
        self._simple: list[tuple[int, Column]] = []
        self._open: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        self._fixed = dict(fixed)
        self._seen: dict[str, int] = {}
        self._template = _template_rows(sheet)
        self._headings(heading_cells, heading_row)
        for column in self._by_name.values():
            if column.field.key and column.name not in self._seen and column.name not in fixed:
                name = header(sheet, column.name, "zh-CN")
                self.problems.error(
                    "book.column-missing", self.layout, heading_row, header=name, field_name=column.name
                )
                self.broken = True

    broken = False
    """Whether a heading that every row needs is missing, so that rows cannot be read."""

    def _headings(self, cells: Sequence[Any], row: int) -> None:
        known = headings(self._structure, self.sheet)
        for index, cell in enumerate(cells):
            if cell is None or not str(cell).strip():
                continue
            written = str(cell).strip()
            name = known.get(plain(written)) or self._open_name(written)
            self.layout.cells[name or f"#{index}"] = (letter(index), written)
            if name is None:
                self.problems.error(
                    "book.unknown-column", self.layout, row, f"#{index}", value=shown(written)
                )
            elif name in self._seen or name in self._fixed:
                self.layout.cells[f"#{index}"] = (letter(index), written)
                self.problems.error("book.column-twice", self.layout, row, f"#{index}", value=shown(written))
            else:
                self._seen[name] = index
                top, _, rest = name.partition(".")
                column = self._by_name.get(name) or self._by_name[top]
                if column.field.kind is Kind.OPEN:
                    path = tuple(rest.split(".")) if rest else ()
                    self._open.setdefault(top, []).append((index, path))
                else:
                    self._simple.append((index, column))

    def _open_name(self, written: str) -> str | None:
        top, dot, rest = written.partition(".")
        if not dot or not all(part.strip() for part in rest.split(".")):
            return None
        name = headings(self._structure, self.sheet).get(plain(top))
        column = self._by_name.get(name or "")
        if column is None or column.field.kind is not Kind.OPEN:
            return None
        return f"{name}.{rest.strip()}"

    def row(self, number: int, cells: Sequence[Any]) -> None:
        """Read one row; an empty one, and the template's own hints and example, say nothing."""
        if all(cell is None or cell == "" for cell in cells):
            return
        if self._is_template(cells):
            self.problems.warn("book.example-skipped", self.layout, number)
            return
        values: dict[str, Any] = {}
        for name, value in self._fixed.items():
            self._take(values, number, self._by_name[name], value)
        for index, column in self._simple:
            cell = cells[index] if index < len(cells) else None
            self._take(values, number, column, unescape(cell) if isinstance(cell, str) else cell)
        for name, parts in self._open.items():
            values[name] = self._dictionary(number, name, parts, cells)
        append(self.book, self.sheet, number, values)

    def _take(self, values: dict[str, Any], row: int, column: Column, cell: Any) -> None:
        try:
            value = read(column, cell)
        except CellError as error:
            self.problems.error(error.key, self.layout, row, column.name, **error.params)
            value = WRONG
        put(values, column, value)

    def _dictionary(
        self, row: int, name: str, parts: list[tuple[int, tuple[str, ...]]], cells: Sequence[Any]
    ) -> Any:
        whole: dict[str, Any] = {}
        said = False
        for index, path in parts:
            cell = cells[index] if index < len(cells) else None
            if cell is None or cell == "":
                continue
            field = ".".join((name, *path))
            try:
                value = read_free_cell(unescape(cell) if isinstance(cell, str) else cell)
                said = True
                _nest(whole, path, value)
            except CellError as error:
                self.problems.error(error.key, self.layout, row, field, **error.params)
                return WRONG
        return whole if said else None

    def _is_template(self, cells: Sequence[Any]) -> bool:
        return _signature(cells) in self._template


def _nest(whole: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if not path:
        if not isinstance(value, dict):
            raise CellError("book.not-a-mapping", value=shown(value))
        whole.update(value)
        return
    for part in path[:-1]:
        inner = whole.setdefault(part, {})
        if not isinstance(inner, dict):
            raise CellError("book.not-a-mapping", value=shown(inner))
        whole = inner
    if path[-1] in whole:
        raise CellError("book.key-twice", value=shown(path[-1]))
    whole[path[-1]] = value


KEYS = {sheet: [column for column in sheet_columns(sheet) if column.field.key] for sheet in SHEETS}
WRONG: Any = object()
"""Stands for a value whose problem has been said already."""


def put(values: dict[str, Any], column: Column, value: Any) -> None:
    """Keep a field's value; None becomes the field's default, in the place that its path names."""
    if value is None and not (column.field.key or len(column.path) > 1):
        value = column.field.default
    if len(column.path) == 1:
        values[column.path[0]] = value
    else:
        values.setdefault(column.path[0], {})[column.path[1]] = value


def append(book: Book, sheet: str, row: int, values: dict[str, Any]) -> None:
    """Add an entry to the book, or say which of its fields is missing. Values as `put` keeps them."""
    layout = book.layout(sheet)
    whole = True
    names: list[str] = []
    for column in KEYS[sheet]:
        value = values.get(column.path[0])
        if value in (None, ""):
            book.problems.error("book.required", layout, row, column.name)
            whole = False
        elif isinstance(value, str):
            names.append(value)
    if isinstance(said := values.get("attestation", ABSENT), dict):
        attestation = _attestation(book, layout, row, said)
        if attestation is ABSENT:
            del values["attestation"]
        else:
            values["attestation"] = attestation
    if not whole or any(value is WRONG for value in values.values()):
        book.broken.add((sheet, *names))
        return
    entry: Entry = SHEETS[sheet](row=row, **values)
    book.entries(sheet).append(entry)


def _attestation(book: Book, layout: Layout, row: int, said: dict[str, Any]) -> Any:
    if any(value is WRONG for value in said.values()):
        return WRONG
    filled = {name: value for name, value in said.items() if value is not None}
    if not filled:
        return ABSENT
    missing = [name for name in ("attested_by", "attested_on", "nameplate") if name not in filled]
    for name in missing:
        book.problems.error("book.required", layout, row, f"attestation.{name}")
    return WRONG if missing else Attestation(**filled)


def _signature(cells: Sequence[Any]) -> tuple[str, ...]:
    return tuple(text for cell in cells if cell is not None and (text := str(cell).strip()))


def _template_rows(sheet: str) -> frozenset[tuple[str, ...]]:
    rows = [*(hint_cells(sheet, language) for language in LANGUAGES), example_cells(sheet)]
    return frozenset(signature for row in rows if (signature := _signature(row)))


def sheet_called(name: str) -> str | None:
    """Return the sheet that a title, in either language, means."""
    wanted = plain(name)
    for sheet in SHEETS:
        if wanted in (plain(sheet), plain(title(sheet, "zh-CN")), plain(title(sheet, "en"))):
            return sheet
    return None
