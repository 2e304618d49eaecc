"""The cells of a worksheet, row by row, in bounded memory; formulas are not computed.

openpyxl's reader takes four times as long and holds a row's elements whole; this one holds a row's values.
"""

import re
from collections.abc import Iterator
from typing import Any

from openpyxl.utils.datetime import from_excel, from_ISO8601

from services.ledger.xlsx_guard import Refused
from services.ledger.xlsx_parts import RUNS_LIMIT, TEXT_LIMIT, Workbook, walk

ROWS = 1_048_576
COLUMNS = 16_384
"""The bounds of the format."""

_LETTERS = re.compile("([A-Z]{1,3})[0-9]+")
_INTEGER = re.compile("-?[0-9]{1,18}")


class Marked:
    """A cell that has no value of its own: a formula, or an error."""

    __slots__ = ("key", "text")

    def __init__(self, key: str, text: str) -> None:
        self.key, self.text = key, text


def rows(workbook: Workbook, part: str) -> Iterator[tuple[int, list[Any]]]:
    """Yield (number, values up to the last cell) of each row that the sheet holds.

    Raises:
        Refused: the part is not a worksheet that can be read.
    """
    sheet = _Sheet(workbook, part)
    for _ in walk(workbook.archive, part, sheet):
        yield from sheet.done
        sheet.done.clear()


class _Sheet:
    def __init__(self, workbook: Workbook, part: str) -> None:
        self.done: list[tuple[int, list[Any]]] = []
        self._workbook, self._part = workbook, part
        self._number = 0
        self._row: list[Any] = []
        self._kind = self._style = ""
        self._column = -1
        self._text: list[str] = []
        self._formula: list[str] | None = None
        self._into: list[str] | None = None
        self._columns: dict[str, int] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2] if ":" in name else name
        if local == "c":
            self._cell(attributes)
        elif local in ("v", "t"):
            self._into = self._text if self._into is not _NOWHERE else _NOWHERE
        elif local == "f":
            self._formula = self._into = []
        elif local == "rPh":
            self._into = _NOWHERE
        elif local == "row":
            self._begin(attributes.get("r"))

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2] if ":" in name else name
        if local in ("v", "f"):
            self._into = None
        elif local == "t":
            self._into = _NOWHERE if self._into is _NOWHERE else None
        elif local == "rPh":
            self._into = None
        elif local == "c":
            self._put()
        elif local == "row":
            self.done.append((self._number, self._row))
            self._row = []

    def text(self, text: str) -> None:
        if self._into is not None and self._into is not _NOWHERE:
            if len(text) > TEXT_LIMIT or len(self._into) > RUNS_LIMIT:
                raise Refused("book.xlsx-elements", part=self._part[:80])
            self._into.append(text)

    def _begin(self, said: str | None) -> None:
        number = self._number + 1 if said is None else self._integer(said)
        if not self._number < number <= ROWS:
            raise self._contradiction(f"row {said}")
        self._number, self._row, self._column = number, [], -1

    def _cell(self, attributes: dict[str, str]) -> None:
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        self._text, self._formula = [], None
        place = attributes.get("r")
        self._column = self._column + 1 if place is None else self._index(place)
        if not len(self._row) <= self._column < COLUMNS:
            raise self._contradiction(f"cell {place}")

    def _index(self, place: str) -> int:
        match = _LETTERS.fullmatch(place)
        if match is None:
            raise self._contradiction(f"cell {place}")
        letters = match[1]
        index = self._columns.get(letters)
        if index is None:
            index = 0
            for letter in letters:
                index = index * 26 + ord(letter) - 64
            index -= 1
            self._columns[letters] = index
        return index

    def _put(self) -> None:
        value = self._value()
        if value is not None:
            missing = self._column - len(self._row)
            if missing:
                self._row.extend([None] * missing)
            self._row.append(value)

    def _value(self) -> Any:
        text = "".join(self._text)
        if self._formula is not None:
            return Marked("book.formula-cell", f"={''.join(self._formula)}")
        if text == "":
            return None
        try:
            match self._kind:
                case "s":
                    return self._workbook.strings[self._integer(text)] or None
                case "inlineStr" | "str":
                    return text
                case "n":
                    return self._numeric(text)
                case "b":
                    return text.strip() in ("1", "true")
                case "d":
                    return from_ISO8601(text)  # type: ignore[no-untyped-call]
                case "e":
                    return Marked("book.error-cell", text)
        except (ValueError, IndexError, OverflowError) as error:
            raise self._contradiction(f"cell value {text[:40]}") from error
        raise self._contradiction(f"cell type {self._kind[:40]}")

    def _numeric(self, text: str) -> Any:
        number = int(text) if _INTEGER.fullmatch(text) else float(text)
        if self._style in self._workbook.dates:
            try:
                return from_excel(number, self._workbook.epoch)
            except (ValueError, OverflowError):
                return Marked("book.error-cell", text)
        return number

    def _integer(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self._contradiction(text)
        return int(text)

    def _contradiction(self, what: str) -> Refused:
        return Refused("book.xlsx-not-a-workbook", detail=f"{self._part[:80]}: {what[:80]}")


_NOWHERE: list[str] = []
"""Where the text of a phonetic guide goes."""
