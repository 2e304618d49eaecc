"""One cell of a book: what was written in it → the value of its field, and back.

Pure functions. A cell is what a reader found: None, text, a number, a truth value, a date, or (from YAML) a
list or dictionary. `Plain` is text that stood unquoted in YAML and may therefore mean a number. Text is
trimmed at its ends only; full-width letters and digits become narrow in codes, numbers, dates and choices,
never in names.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from muster.catalogue import LANGUAGES, texts
from services.ledger.columns import FULL_WIDTH, Column, Kind
from services.ledger.shifts import NotShifts, parse_shifts

TRIMMED = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"
ESCAPED = ("=", "+", "-", "@", "\t", "\r", "'")
"""Spreadsheets take text that begins so for a formula; `'` is escaped so that the escape has an inverse."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"([0-9]{4})(?:[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日)")
_TRUE = frozenset({"true", "yes", "y", "1", "是", "对", "√"})
_FALSE = frozenset({"false", "no", "n", "0", "否", "错", "×"})


class Plain(str):
    """Text that stood unquoted in YAML."""

    __slots__ = ()


class CellError(Exception):
    """A cell does not hold what its field needs; a message key and its facts."""

    def __init__(self, key: str, **params: Any) -> None:
        super().__init__(key)
        self.key = key
        self.params = params


def read(column: Column, cell: Any) -> Any:
    """Return the value of a field from its cell, or None when the cell is empty.

    Raises:
        CellError: it holds something else.
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        if type(cell) is Plain and cell in ("null", "~"):
            return None
        cell = cell.strip(TRIMMED)
        if not cell:
            return None
    return _READERS[column.field.kind](column, cell)


def _text(column: Column, cell: Any) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise CellError("book.not-text", value=shown(cell))
    if isinstance(cell, int | float):
        if abs(cell) >= 1e15:
            raise CellError("book.number-loses-digits", value=shown(cell))
        cell = str(int(cell)) if cell == int(cell) else repr(cell)
    text = str(cell).replace("\r\n", "\n").replace("\r", "\n")
    if _FORBIDDEN.search(text):
        raise CellError("book.control-character")
    if len(text) > column.field.limit:
        raise CellError("book.too-long", limit=column.field.limit, length=len(text))
    return text


def _code(column: Column, cell: Any) -> str:
    text = _text(column, cell).translate(FULL_WIDTH).strip(TRIMMED)
    if _CONTROL.search(text):
        raise CellError("book.control-character")
    if len(text) > 64:
        raise CellError("book.too-long", limit=64, length=len(text))
    return text


def _number(column: Column, cell: Any) -> float:
    if isinstance(cell, str):
        text = cell.translate(FULL_WIDTH).strip(TRIMMED)
        if not _NUMBER.fullmatch(text):
            raise CellError("book.not-a-number", value=shown(cell))
        cell = float(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise CellError("book.not-a-number", value=shown(cell))
    try:
        number = float(cell)
    except OverflowError as error:
        raise CellError("book.not-a-number", value=shown(cell)) from error
    if not math.isfinite(number):
        raise CellError("book.not-a-number", value=shown(cell))
    field = column.field
    if (
        (field.low is not None and number < field.low)
        or (field.high is not None and number > field.high)
        or (field.above is not None and number <= field.above)
    ):
        low = field.above if field.low is None else field.low
        raise CellError("book.out-of-range", value=shown(cell), low=low, high=field.high)
    return number


def _boolean(column: Column, cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    word = str(cell).translate(FULL_WIDTH).strip(TRIMMED).casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise CellError("book.not-a-boolean", value=shown(cell))


def _date(column: Column, cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    match = _DATE.fullmatch(cell.translate(FULL_WIDTH).strip(TRIMMED)) if isinstance(cell, str) else None
    if match is None:
        raise CellError("book.not-a-date", value=shown(cell))
    year, *rest = (int(part) for part in match.groups() if part is not None)
    try:
        return date(year, rest[0], rest[1]).isoformat()
    except ValueError as error:
        raise CellError("book.not-a-date", value=shown(cell)) from error


def _choice(column: Column, cell: Any) -> str:
    word = str(cell).translate(FULL_WIDTH).strip(TRIMMED)
    if word in column.field.choices:
        return word
    for choice in column.field.choices:
        for language in LANGUAGES:
            if texts(language).get(choice_key(column, choice), choice).casefold() == word.casefold():
                return choice
    raise CellError("book.not-a-choice", value=shown(cell), choices=", ".join(column.field.choices))


def choice_key(column: Column, choice: str) -> str:
    """Return the catalogue key of a choice's name for people."""
    return f"book.choice.{column.path[-1]}.{choice}".replace("_", "-")


def _shifts(column: Column, cell: Any) -> dict[str, Any]:
    try:
        return parse_shifts(cell if isinstance(cell, dict) else str(cell).translate(FULL_WIDTH))
    except NotShifts as error:
        raise CellError("book.not-shifts", value=shown(cell)) from error


def _open(column: Column, cell: Any) -> dict[str, Any]:
    value = free(cell)
    if not isinstance(value, dict):
        raise CellError("book.not-a-mapping", value=shown(cell))
    return value


_READERS: dict[Kind, Callable[[Column, Any], Any]] = {
    Kind.CODE: _code,
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.CHOICE: _choice,
    Kind.SHIFTS: _shifts,
    Kind.OPEN: _open,
}


def free(cell: Any) -> Any:
    """Return the value of something whose meaning a protocol decides, as YAML wrote it.

    Raises:
        CellError: a text or number that cannot be stored.
    """
    if type(cell) is Plain:
        return plain_value(cell)
    if isinstance(cell, str):
        if _FORBIDDEN.search(cell):
            raise CellError("book.control-character")
        return str(cell)
    if isinstance(cell, dict):
        return {str(key): free(value) for key, value in cell.items()}
    if isinstance(cell, list):
        return [free(value) for value in cell]
    if isinstance(cell, float) and not math.isfinite(cell):
        raise CellError("book.not-a-number", value=shown(cell))
    return cell


def plain_value(text: str) -> Any:
    """Return what unquoted text means: null, truth value, number, else itself (YAML 1.2 core schema)."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
    if _FORBIDDEN.search(text):
        raise CellError("book.control-character")
    return str(text)


def read_free_cell(cell: Any) -> Any:
    """Return the value of one key of an open dictionary from a sheet's cell; None when it is empty.

    Text in double quotes is text whatever it looks like; text in brackets is a list or dictionary in JSON.

    Raises:
        CellError: it begins like JSON and is not.
    """
    if isinstance(cell, datetime | date):
        raise CellError("book.not-text", value=shown(cell))
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if not isinstance(cell, str):
        return free(cell)
    text = cell.strip(TRIMMED)
    if text.startswith(("{", "[", '"')):
        try:
            return free(json.loads(text, parse_constant=_refuse_constant))
        except (ValueError, RecursionError) as error:
            raise CellError("book.not-json", value=shown(text)) from error
    return plain_value(text.translate(FULL_WIDTH).strip(TRIMMED))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def write_free_cell(value: Any) -> Any:
    """Return the cell that `read_free_cell` reads as `value`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value
    if isinstance(value, str) and read_free_cell_or_none(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def read_free_cell_or_none(text: str) -> Any:
    """Return what the bare text would be read as, None where it would be refused."""
    try:
        return read_free_cell(text)
    except CellError:
        return None


def escape(text: str) -> str:
    """Return text as an exported cell holds it: never the beginning of a formula."""
    return f"'{text}" if text.startswith(ESCAPED) else text


def unescape(text: str) -> str:
    """Undo `escape`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(ESCAPED) else text


def shown(cell: Any) -> str:
    """Return a cell as a message shows it, cut short."""
    text = cell if isinstance(cell, str) else str(cell)
    text = _FORBIDDEN.sub("\ufffd", text)
    return text if len(text) <= 60 else f"{text[:57]}…"
