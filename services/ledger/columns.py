"""Columns of the device book: how a field is called, what kind of value it holds, what it must be.

A field is declared once, in `document.py`, as an annotation of its structure; this module turns those
annotations into columns that the readers, the template and the exports share. What people read (headers,
hints) lives in the catalogue of messages under `book.column.<sheet>.<field>` and `book.hint.<sheet>.<field>`.
"""

import typing
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

from muster.catalogue import LANGUAGES, Language, texts


class Kind(Enum):
    """What a field holds, and so how its cell is read."""

    CODE = auto()  # a short name that other rows refer to
    TEXT = auto()
    NUMBER = auto()
    INTEGER = auto()
    BOOLEAN = auto()
    DATE = auto()
    CHOICE = auto()
    SHIFTS = auto()
    OPEN = auto()  # a dictionary whose keys a protocol decides; one column per key


@dataclass(frozen=True, slots=True)
class Field:
    """What a structure says of one of its fields.

    key: part of the name by which an entry is found again. required: a new entry must have it.
    default: what an empty cell means. limit: longest text. low, high: bounds of a number, inclusive.
    above: exclusive lower bound. parts: the keys of an open dictionary that the template offers.
    example: what the template's example row shows (for an open field, of each part).
    """

    kind: Kind
    key: bool = False
    required: bool = False
    default: Any = ""
    choices: tuple[str, ...] = ()
    limit: int = 200
    low: float | None = None
    high: float | None = None
    above: float | None = None
    parts: tuple[str, ...] = ()
    example: Any = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a sheet: a field, named by its dotted path within an entry."""

    sheet: str
    path: tuple[str, ...]
    field: Field

    @property
    def name(self) -> str:
        """The field's name as documents write it, such as `attestation.attested_on`."""
        return ".".join(self.path)


def header(sheet: str, name: str, language: Language) -> str:
    """Return the heading of a column; a key of an open dictionary without one is headed by its own name."""
    key = message_key("column", sheet, name)
    if key in texts(language):
        return texts(language)[key]
    top, _, rest = name.partition(".")
    return f"{texts(language).get(message_key('column', sheet, top), top)}.{rest}" if rest else name


def hint(sheet: str, name: str, language: Language) -> str:
    """Return what the template says of a column, empty when there is nothing to say."""
    return texts(language).get(message_key("hint", sheet, name), "")


def title(sheet: str, language: Language) -> str:
    """Return the name of a sheet."""
    return texts(language)[f"book.sheet.{sheet}"]


def message_key(area: str, sheet: str, name: str) -> str:
    """Return the catalogue key of a column's text."""
    return f"book.{area}.{sheet}.{name}".replace("_", "-")


@cache
def columns(structure: type, sheet: str, prefix: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Return the columns of a structure in the order of its fields; nested structures become dotted names."""
    found: list[Column] = []
    for name, hinted in typing.get_type_hints(structure, include_extras=True).items():
        for said in getattr(hinted, "__metadata__", ()):
            if isinstance(said, Field):
                found.append(Column(sheet, (*prefix, name), said))
            elif isinstance(said, type):
                found.extend(columns(said, sheet, (*prefix, name)))
    return tuple(found)


@cache
def headings(structure: type, sheet: str) -> dict[str, str]:
    """Return the dotted name behind each accepted heading, in every language, plain as `plain` makes it."""
    accepted: dict[str, str] = {}
    for column in columns(structure, sheet):
        names = [column.name]
        if column.field.kind is Kind.OPEN:
            names += [f"{column.name}.{part}" for part in column.field.parts]
        for name in names:
            accepted[plain(name)] = name
            for language in LANGUAGES:
                accepted[plain(header(sheet, name, language))] = name
    return accepted


def plain(heading: str) -> str:
    """Return a heading as it is compared: no spaces, no required mark, half-width, lower case."""
    narrow = heading.translate(FULL_WIDTH)
    return "".join(narrow.split()).strip("*\u200b\ufeff").casefold()


FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms of ASCII, and the ideographic space, to their narrow ones."""
