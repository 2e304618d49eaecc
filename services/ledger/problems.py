"""What is wrong with a book, said by sheet, row and column; and the report that a caller gets.

A problem carries a message key and its facts, never a text; `Problem.say` makes the text. Only the first
`LIMIT` of each sort are kept, all are counted: a book with a million mistakes must not fill the memory.
"""

from typing import Any

import msgspec

from muster.catalogue import Language, say

LIMIT = 200


class Layout(msgspec.Struct):
    """Where a sheet's fields stand. title: what the file calls it; cells: field → (letter, heading)."""

    title: str
    cells: dict[str, tuple[str, str]] = {}


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, where, and the message that says it.

    row: the sheet's row, or the line in YAML; column: its letter, in sheets; header: its heading or field.
    """

    key: str
    params: dict[str, Any]
    sheet: str = ""
    row: int | None = None
    column: str | None = None
    header: str | None = None

    def say(self, language: Language = "zh-CN") -> str:
        """Return the problem as a sentence with its place."""
        text = say(self.key, language, **self.params)
        if not self.sheet:
            return text
        place = {"sheet": self.sheet, "row": self.row, "column": self.column, "header": self.header}
        if self.row is None:
            return say("book.at-sheet", language, problem=text, **place)
        if self.header is None:
            return say("book.at-row", language, problem=text, **place)
        if self.column is None:
            return say("book.at-field", language, problem=text, **place)
        return say("book.at-cell", language, problem=text, **place)


class Problems(msgspec.Struct):
    """Errors and warnings in the order they were found."""

    errors: list[Problem] = []
    warnings: list[Problem] = []
    error_count: int = 0
    warning_count: int = 0

    def error(
        self, key: str, layout: Layout | None = None, row: int | None = None, field: str = "", **params: Any
    ) -> None:
        """Add an error: the book will not be applied."""
        self.error_count += 1
        if len(self.errors) < LIMIT:
            self.errors.append(_problem(key, layout, row, field, params))

    def warn(
        self, key: str, layout: Layout | None = None, row: int | None = None, field: str = "", **params: Any
    ) -> None:
        """Add a warning: the book can be applied all the same."""
        self.warning_count += 1
        if len(self.warnings) < LIMIT:
            self.warnings.append(_problem(key, layout, row, field, params))


def _problem(key: str, layout: Layout | None, row: int | None, field: str, params: dict[str, Any]) -> Problem:
    if layout is None:
        return Problem(key, params)
    letter, heading = layout.cells.get(field, (None, field or None))
    return Problem(key, params, layout.title, row, letter, heading)


class Change(msgspec.Struct, frozen=True):
    """One entry that a book creates, changes or retires; `fields` are those that change."""

    sheet: str
    code: str
    action: str
    fields: tuple[str, ...] = ()


class Counts(msgspec.Struct):
    """How many entries of a sheet a book touches, and how."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    retired: int = 0


class Report(msgspec.Struct):
    """What a book would do or did. applied: whether the database now holds it."""

    errors: list[Problem]
    warnings: list[Problem]
    error_count: int
    warning_count: int
    counts: dict[str, Counts]
    changes: list[Change]
    applied: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing stands against applying the book."""
        return self.error_count == 0
