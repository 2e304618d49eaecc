"""A book from YAML (or JSON, which is YAML): safe, bounded, with the line of every mistake.

Works on the parser's events: no tags, no objects; scalars stay text until the field that needs them is known
(`Plain` where unquoted), so `no` may be a name and `0042` a code. Every value counts, and an alias counts as
much as what it stands for, so a file that unfolds is refused before it has unfolded.
"""

from collections.abc import Container, Iterator
from typing import Any

import yaml

from services.ledger.cells import CellError, Plain, read, shown
from services.ledger.columns import Column
from services.ledger.document import SHEETS, Book, sheet_columns
from services.ledger.entries import ROWS_LIMIT, WRONG, append, put
from services.ledger.problems import Layout

VALUES_LIMIT = 12_000_000
DEPTH_LIMIT = 16
EMPTY = ("", "null", "~")

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mapping(dict[str, Any]):
    """A mapping that knows the line it begins on, and the line of each of its keys in their order."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class NotList:
    """A section that holds something else than a list of entries."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Refused(Exception):
    """The text is no document that may be read; a message key, the line, the facts."""

    def __init__(self, key: str, line: int, **params: Any) -> None:
        super().__init__(key)
        self.key, self.line, self.params = key, line, params


class _Builder:
    """Builds values from events, counting them."""

    def __init__(self, text: str) -> None:
        self._loader = _PARSER(text)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def entries(self) -> Iterator[tuple[str, int, Any]]:
        """Yield (section, line, entry) one by one, so that the document is never whole in memory.

        A section that is no list is yielded as one entry of its own, in a `NotList`.
        """
        try:
            self._loader.get_event()
            if isinstance(self._loader.get_event(), yaml.StreamEndEvent):
                return
            top = self._loader.get_event()
            if not isinstance(top, yaml.MappingStartEvent):
                raise Refused("book.not-a-mapping", top.start_mark.line + 1, value=shown(self._value(top, 0)))
            seen: set[str] = set()
            while not isinstance(key := self._loader.get_event(), yaml.MappingEndEvent):
                name = self._key(key, seen)
                seen.add(name)
                yield from self._section(name, key.start_mark.line + 1)
            self._loader.get_event()
            after = self._loader.get_event()
            if not isinstance(after, yaml.StreamEndEvent):
                raise Refused("book.yaml-documents", after.start_mark.line + 1)
        finally:
            self._loader.dispose()

    def _section(self, name: str, line: int) -> Iterator[tuple[str, int, Any]]:
        event = self._loader.get_event()
        if not isinstance(event, yaml.SequenceStartEvent):
            value = self._value(event, 1)
            if not (type(value) is Plain and value in EMPTY):
                yield name, line, NotList(value)
            return
        while not isinstance(inner := self._loader.get_event(), yaml.SequenceEndEvent):
            yield name, inner.start_mark.line + 1, self._value(inner, 2)

    def _key(self, event: Any, seen: Container[str]) -> str:
        at = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent):
            raise Refused("book.yaml-key", at)
        key = str(event.value)
        if key in seen:
            raise Refused("book.key-twice", at, value=shown(key))
        return key

    def _value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        self._spend(1, line)
        if depth > DEPTH_LIMIT:
            raise Refused("book.yaml-too-deep", line, limit=DEPTH_LIMIT)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Refused("book.yaml-syntax", line, detail=f"*{event.anchor}")
            value, cost = self._anchors[event.anchor]
            self._spend(cost, line)
            return value
        if event.tag is not None and event.tag != "!":
            raise Refused("book.yaml-tag", line, value=shown(event.tag))
        before = self._count
        value = self._built(event, depth, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _built(self, event: Any, depth: int, line: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return Plain(event.value) if event.style in (None, "") else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := self._loader.get_event(), yaml.SequenceEndEvent):
                items.append(self._value(inner, depth + 1))
            return items
        mapping = Mapping(line)
        while not isinstance(inner := self._loader.get_event(), yaml.MappingEndEvent):
            key = self._key(inner, mapping)
            mapping[key] = self._value(self._loader.get_event(), depth + 1)
            mapping.lines.append(inner.start_mark.line + 1)
        return mapping

    def _spend(self, values: int, line: int) -> None:
        self._count += values
        if self._count > VALUES_LIMIT:
            raise Refused("book.yaml-too-large", line, limit=VALUES_LIMIT)


def read_yaml(data: bytes, book: Book) -> None:
    """Read a YAML document into the book."""
    page = Layout(title="YAML")
    try:
        for sheet, line, entry in _Builder(data.decode("utf-8-sig")).entries():
            _place(book, sheet, line, entry)
    except UnicodeDecodeError as error:
        book.problems.error("book.encoding-unknown", detail=str(error.reason))
    except Refused as refused:
        book.problems.error(refused.key, page, refused.line, **refused.params)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        detail = getattr(error, "problem", None) or str(error)
        book.problems.error("book.yaml-syntax", page, line, detail=shown(detail))


def _place(book: Book, sheet: str, line: int, entry: Any) -> None:
    if sheet not in SHEETS:
        if sheet not in book.layouts:
            book.layouts[sheet] = page = Layout(title="YAML")
            book.problems.error("book.unknown-sheet", page, line, value=shown(sheet), known=", ".join(SHEETS))
        return
    layout = book.layouts.setdefault(sheet, Layout(title=sheet))
    if sheet == "models":
        book.layouts.setdefault("tags", Layout(title="models.tags"))
    if isinstance(entry, NotList):
        book.problems.error("book.not-a-list", layout, line, value=shown(entry.value))
        return
    if len(book.entries(sheet)) >= ROWS_LIMIT:
        raise Refused("book.too-many-rows", line, limit=ROWS_LIMIT)
    _entry(book, sheet, entry, line, {})


def _entry(book: Book, sheet: str, entry: Any, line: int, given: dict[str, Any]) -> None:
    layout = book.layout(sheet)
    if not isinstance(entry, Mapping):
        book.problems.error("book.not-a-mapping", layout, line, value=shown(entry))
        return
    values = dict(given)
    known = {column.name: column for column in sheet_columns(sheet) if column.name not in given}
    for key, at in zip(entry, entry.lines, strict=True):
        if sheet == "models" and key == "tags":
            _tags(book, entry, at)
        elif key == "attestation" and sheet == "devices":
            _attestation(book, entry[key], at, values, known)
        elif (column := known.get(key)) is None:
            book.problems.error("book.unknown-key", layout, at, key, value=shown(key))
        else:
            _take(book, values, column, entry[key], at)
    append(book, sheet, entry.line, values)


def _take(book: Book, values: dict[str, Any], column: Column, cell: Any, line: int) -> None:
    try:
        value = read(column, cell)
    except CellError as error:
        book.problems.error(error.key, book.layout(column.sheet), line, column.name, **error.params)
        value = WRONG
    put(values, column, value)


def _tags(book: Book, model: Mapping, line: int) -> None:
    tags = model["tags"]
    if not isinstance(tags, list):
        book.problems.error("book.not-a-list", book.layout("models"), line, "tags", value=shown(tags))
        return
    if not tags:
        book.problems.error("book.model-without-tags", book.layout("models"), line, "tags")
        book.broken.add(("models", _model_code(str(model.get("code")))))
    code = model.get("code")
    if not isinstance(code, str) or not code:
        return
    for tag in tags:
        _entry(book, "tags", tag, line, {"model": _model_code(code)})


def _model_code(code: str) -> str:
    column = next(column for column in sheet_columns("models") if column.name == "code")
    try:
        return str(read(column, code))
    except CellError:
        return str(code)


def _attestation(book: Book, said: Any, line: int, values: dict[str, Any], known: dict[str, Column]) -> None:
    if type(said) is Plain and said in EMPTY:
        return
    if not isinstance(said, Mapping):
        book.problems.error(
            "book.not-a-mapping", book.layout("devices"), line, "attestation", value=shown(said)
        )
        return
    for key, at in zip(said, said.lines, strict=True):
        column = known.get(f"attestation.{key}")
        if column is None:
            book.problems.error(
                "book.unknown-key", book.layout("devices"), at, f"attestation.{key}", value=shown(key)
            )
        else:
            _take(book, values, column, said[key], at)
