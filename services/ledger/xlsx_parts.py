"""The parts of a workbook that say what its cells mean: which sheets there are, shared strings, date formats.

ECMA-376 Part 1 (SpreadsheetML), both in its transitional and its strict namespaces: elements are known by their
local names. `xlsx_guard` has bounded every part read here.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900

from services.ledger.xlsx_guard import CHUNK, Refused

STRINGS_LIMIT = 4_000_000
TEXT_LIMIT = 1_000_000
RUNS_LIMIT = 4_096


class Workbook:
    """What must be known of a workbook before its sheets can be read."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        part = self._main()
        root = self._tree(part)
        relations = self._relations(part)
        properties = next(iter(_named(root, "workbookPr")), None)
        mac = properties is not None and properties.get("date1904") in ("1", "true")
        self.epoch: datetime = CALENDAR_MAC_1904 if mac else CALENDAR_WINDOWS_1900
        self.sheets = [
            (sheet.get("name", ""), relations[identity][1])
            for sheet in _named(root, "sheet")
            if relations.get(identity := _identity(sheet), ("", ""))[0] == "worksheet"
        ]
        named = dict(relations.values())
        self.strings = list(self._strings(named["sharedStrings"])) if "sharedStrings" in named else []
        self.dates = self._dates(named["styles"]) if "styles" in named else frozenset()

    def _main(self) -> str:
        for kind, target in self._relations("").values():
            if kind == "officeDocument":
                return target
        raise Refused("book.xlsx-not-a-workbook", detail="officeDocument")

    def _tree(self, part: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.archive.read(part))

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return what a part refers to within the workbook: id → (kind, part)."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path not in self.archive.namelist():
            return {}
        found = {}
        for relation in _named(self._tree(path), "Relationship"):
            if relation.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", "")))
                kind = relation.get("Type", "").rpartition("/")[2]
                found[relation.get("Id", "")] = (kind, target.lstrip("/"))
        return found

    def _dates(self, part: str) -> frozenset[str]:
        """Return the styles, as cells name them, whose numbers are dates."""
        root = self._tree(part)
        own = {style.get("numFmtId"): style.get("formatCode", "") for style in _named(root, "numFmt")}
        found = set()
        for formats in _named(root, "cellXfs"):
            for index, style in enumerate(formats):
                number = style.get("numFmtId", "0")
                code = own.get(number) or BUILTIN_FORMATS.get(int(number), "")
                if is_date_format(code):
                    found.add(str(index))
        return frozenset(found)

    def _strings(self, part: str) -> Iterator[str]:
        """Yield the shared strings; a rich one is its runs together, without their phonetic guides."""
        reader = _Strings(part)
        for chunk in walk(self.archive, part, reader):
            del chunk
            yield from reader.done
            reader.count += len(reader.done)
            if reader.count > STRINGS_LIMIT:
                raise Refused("book.xlsx-elements", part=part)
            reader.done.clear()


class _Strings:
    def __init__(self, part: str) -> None:
        self.done: list[str] = []
        self.count = 0
        self._part = part
        self._text: list[str] = []
        self._within = self._guide = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "si":
            self._text = []
        elif local == "t":
            self._within = not self._guide
        elif local == "rPh":
            self._guide = True

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "si":
            self.done.append("".join(self._text))
        elif local == "t":
            self._within = False
        elif local == "rPh":
            self._guide = False

    def text(self, text: str) -> None:
        if self._within:
            if len(text) > TEXT_LIMIT or len(self._text) > RUNS_LIMIT:
                raise Refused("book.xlsx-elements", part=self._part[:80])
            self._text.append(text)


def walk(archive: zipfile.ZipFile, part: str, reader: Any) -> Iterator[None]:
    """Feed a part to the reader's `start`, `end` and `text`, stopping after each chunk.

    Raises:
        Refused: it is not well-formed, or declares a document type.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text

    def doctype(*_: Any) -> None:
        raise Refused("book.xlsx-doctype", part=part[:80])

    parser.StartDoctypeDeclHandler = doctype
    try:
        with archive.open(part) as stream:
            while chunk := stream.read(CHUNK):
                parser.Parse(chunk, False)
                yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise Refused("book.xlsx-not-a-workbook", detail=f"{part[:80]}: {error}") from error


def _named(root: ElementTree.Element, local: str) -> Iterator[ElementTree.Element]:
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == local)


def _identity(sheet: ElementTree.Element) -> str:
    return next((value for name, value in sheet.attrib.items() if name.endswith("}id")), "")
